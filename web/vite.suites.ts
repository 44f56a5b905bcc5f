/** Libraries of cipher suites that Kith does not speak are left out of every build. */
import { fileURLToPath } from 'node:url';

const stub = fileURLToPath(new URL('./src/engine/unused.ts', import.meta.url));

export const unusedSuites = [
  { find: /^@noble\/(?:curves|ciphers|post-quantum)\/.*$/, replacement: stub },
  { find: /^@hpke\/(?:chacha20poly1305|hybridkem-x-wing|ml-kem|dhkem-x448)$/, replacement: stub },
];
