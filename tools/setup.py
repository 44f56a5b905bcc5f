"""Makes .venv from nothing but Python's standard library; each thing that can go wrong is one clear sentence.

Kept free of new syntax on purpose: an old Python must be able to say that it is too old.
"""

import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(HERE, ".venv")
UV = "0.13.9"
NEEDED_MB = 1500


def stop(sentence):
    sys.stderr.write("\nkith: " + sentence + "\n")
    sys.exit(1)


def say(sentence):
    sys.stdout.write("· " + sentence + "\n")
    sys.stdout.flush()


def newer_python():
    for name in ("python3.14", "python3.13", "python3.12", "python3.11"):
        found = shutil.which(name)
        if found and subprocess.call([found, "-c", "import sys, venv"], stderr=subprocess.DEVNULL) == 0:
            return found
    return None


def run(command, failed):
    if subprocess.call(command, cwd=HERE) != 0:
        stop(failed)


def main():
    python = sys.executable
    if sys.version_info < (3, 11):
        python = newer_python()
        if python is None:
            stop(
                "Python %d.%d is too old; Kith needs 3.11 or newer. Install one (for example: apt install python3.11 "
                "python3.11-venv) and run the same command again." % sys.version_info[:2]
            )
    free_mb = shutil.disk_usage(HERE).free // (1 << 20)
    if free_mb < NEEDED_MB:
        stop(
            "The disk has %d MB left and Kith needs %d. Free some space and run the same command again."
            % (free_mb, NEEDED_MB)
        )
    inside = os.path.join(VENV, "bin", "python")
    if not os.path.exists(inside):
        say("Making .venv")
        run([python, "-m", "venv", VENV], "Python cannot make an environment. On Debian: apt install python3-venv")
    uv = os.path.join(VENV, "bin", "uv")
    if not os.path.exists(uv):
        say("Installing the package installer")
        run(
            [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv==" + UV],
            "The Python package registry cannot be reached. Check the network and run the same command again.",
        )
    say("Installing Python packages, exactly those of uv.lock")
    run(
        [uv, "sync", "--locked", "--inexact", "--quiet"],
        "The Python packages could not be installed; the lines above say which.",
    )
    with open(os.path.join(VENV, ".ready"), "w") as stamp:
        stamp.write("ok\n")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        stop("Stopped. Run the same command again to go on.")
    except OSError as error:
        stop("%s. Mend that and run the same command again." % error)
