import { execFileSync } from 'node:child_process';
import { cpus, loadavg } from 'node:os';
import { hasCores } from './cores.ts';
import { hasWrk } from './load.ts';

/** Where, when and with what a run was made. Figures without that mean nothing. */
export interface Surroundings {
  commit: string;
  date: string;
  machine: string;
  node: string;
  cores: string;
  load: string;
  /** What else the machine had to do, which no figure can be better than. */
  busy: string;
}

export function describeRun(): Surroundings {
  const [first] = cpus();
  return {
    commit: `commit ${commit()}`,
    date: new Date().toISOString().slice(0, 10),
    machine: `${first?.model.trim() ?? 'unknown CPU'} × ${cpus().length}`,
    node: `Node ${process.version}`,
    cores: hasCores
      ? 'server on one core, Redis (AOF everysec) and load on another'
      : 'processes not pinned to cores, Redis with AOF everysec',
    load: hasWrk ? 'load by wrk' : 'load by autocannon',
    busy: `load average before ${loadavg()[0]?.toFixed(1) ?? '?'}`,
  };
}

function commit(): string {
  try {
    const git = (...words: string[]) => execFileSync('git', words, { encoding: 'utf8' }).trim();
    const changed = git('status', '--porcelain', '--', 'src', 'bench', 'package-lock.json') !== '';
    return `${git('rev-parse', '--short', 'HEAD')}${changed ? ' with changes' : ''}`;
  } catch {
    return 'unknown';
  }
}
