import { spawn } from 'node:child_process';

/**
 * A small shell that outlives us. It holds the other end of a pipe: when our process goes, be it by
 * Ctrl-C, an uncaught error or kill -9, the pipe closes, and it ends the Redis and removes the
 * folder, which no handler inside the process could promise.
 */
export interface Guard {
  /** The process to end when ours goes; undefined: none any more. */
  watch(pid: number | undefined): void;
  /** Removes the folder and resolves when the guard itself is gone. */
  dismiss(): Promise<void>;
}

/** The process gets three seconds to end in peace. Zero stands for no process. */
const SCRIPT = `
pid=0
while read -r line; do pid=$line; done
if [ "$pid" -gt 0 ] && kill -TERM "$pid" 2>/dev/null; then
  tries=30
  while [ "$tries" -gt 0 ] && kill -0 "$pid" 2>/dev/null; do sleep 0.1; tries=$((tries - 1)); done
  [ "$tries" -gt 0 ] || kill -KILL "$pid" 2>/dev/null
fi
rm -rf -- "$1"
`;

export function startGuard(folder: string): Guard {
  // Detached: Ctrl-C in the terminal must not reach it. cwd: it must not pin anybody's folder.
  const shell = spawn('/bin/sh', ['-c', SCRIPT, 'redis-guard', folder], {
    detached: true,
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const gone = new Promise<void>((resolve) => {
    shell.once('exit', () => resolve());
    // Without a shell there is no guard, and all is as good as a process that ends in order.
    shell.once('error', () => resolve());
  });
  shell.stdin.on('error', () => undefined);
  shell.unref();
  (shell.stdin as unknown as { unref(): void }).unref();

  return {
    watch: (pid) => void shell.stdin.write(`${pid ?? 0}\n`),
    async dismiss() {
      shell.ref();
      shell.stdin.end();
      await gone;
    },
  };
}
