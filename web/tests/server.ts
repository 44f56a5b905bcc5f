/** A real Kith server for tests: its own folder and ports, started and stopped here. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** The server's program: KITH_BIN, else the checkout's environment; null when there is none. */
export function serverProgram(): string | null {
  const path = process.env['KITH_BIN'] ?? resolve(process.cwd(), '../.venv/bin/kith');
  return existsSync(path) ? path : null;
}

function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => done(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

function answers(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => { socket.destroy(); done(true); });
    socket.on('error', () => done(false));
  });
}

export class TestServer {
  #process: ChildProcess | null = null;

  private constructor(private readonly program: string, private readonly folder: string, readonly port: number) {}

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  static async create(program: string): Promise<TestServer> {
    const folder = mkdtempSync(join(tmpdir(), 'kith-web-'));
    const [port, staff] = [await freePort(), await freePort()];
    const data = join(folder, 'data');
    const made = spawnSync(program, [
      'init', '--name', 'kith.test', '--origin', `http://127.0.0.1:${port}`, '--staff-origin', `http://127.0.0.1:${staff}`, '--data', data,
    ], { encoding: 'utf8' });
    if (made.status !== 0) throw new Error(made.stderr || made.stdout);
    const settings = join(data, 'kith.toml');
    const text = readFileSync(settings, 'utf8').replace(/^port = .*$/m, `port = ${port}`).replace(/^staff_port = .*$/m, `staff_port = ${staff}`);
    writeFileSync(settings, text);
    const server = new TestServer(program, folder, port);
    await server.start();
    return server;
  }

  async start(): Promise<void> {
    const child = spawn(this.program, ['serve', '--data', join(this.folder, 'data')], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => { said += chunk.toString(); });
    child.stderr.on('data', (chunk: Buffer) => { said += chunk.toString(); });
    this.#process = child;
    for (let i = 0; i < 300; i++) {
      if (child.exitCode !== null) throw new Error(`the server ended:\n${said}`);
      if (await answers(this.port)) return;
      await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error(`the server does not answer:\n${said}`);
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((done) => child.once('exit', done));
    child.kill(signal);
    const killer = setTimeout(() => child.kill('SIGKILL'), 5000);
    await ended;
    clearTimeout(killer);
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
