import { allDocuments } from './markdown.ts';

/**
 * Every command that a document tells its reader to type, and who makes sure that it works: this
 * folder's `commands.test.ts` runs it as it is printed, another test does what it does, or it needs
 * something that no test has.
 */

export interface Command {
  path: string;
  /** One line, continuations joined and comments left out. */
  line: string;
}

export interface Block {
  path: string;
  /** As it is printed. */
  code: string;
  commands: readonly Command[];
}

export interface Rule {
  command: RegExp;
  /** Run by `commands.test.ts` against a service, a simulated WeChat and a Redis of its own. */
  run?: 'in turn' | 'before the first ticket' | 'by a test of its own';
  /** A test that does the same, and a text in it that shows so. */
  test?: readonly [file: string, text: string];
  /** What no test of this project has. */
  needs?: 'the real WeChat' | 'Docker' | 'Kubernetes' | 'a machine of its own';
  /** For documents that may not show it. */
  optional?: boolean;
}

export const RULES: readonly Rule[] = [
  {
    command: /^npm ci && npm run demo$/,
    test: ['test/integration/demo.test.ts', 'dist/commands/demo.js'],
  },
  {
    command: /^(?:npx|npm install) \.\/wxkeeper-\S+\.tgz(?: |$)/,
    test: ['test/integration/package.test.ts', '--pack-destination'],
  },
  // Whoever reads this has run it.
  { command: /^npm ci && npm test$/, test: ['test/unit/docs/commands.test.ts', 'npm test'] },
  { command: /^npm run keys -- /, test: ['test/unit/commands/keys.test.ts', '--sealing'] },
  {
    command: /^node dist\/commands\/keys\.js /,
    test: ['test/unit/commands/keys.test.ts', '--scopes'],
  },
  {
    command: /^npm run doctor -- release-check$/,
    test: ['test/integration/doctor.test.ts', 'release-check'],
  },
  {
    command: /^npm run doctor(?: -- --(?:json|lang zh))?$/,
    test: ['test/integration/doctor-command.test.ts', "'--lang'"],
  },
  {
    command: /^npm run doctor -- (?:trace|quota)\b/,
    test: ['test/integration/doctor-trace-quota.test.ts', "'quota'"],
  },
  {
    command: /^promtool check rules /,
    test: ['test/unit/deploy/prometheus.test.ts', 'are what promtool takes for rules'],
  },
  {
    command: /^npm run simulator(?: -- |$)/,
    test: ['test/unit/simulator/command.test.ts', '--callback'],
  },

  { command: /^curl .*"\$S\/(?:ledger|state|faults)\S*"(?:; curl .*)?$/, run: 'in turn' },
  {
    command: /^curl .*-d '.*' "?(?:\$S|\S+\/_simulator)\/[\w-]+"?$/,
    test: ['test/unit/docs/runnable-examples.test.ts', '/_simulator/'],
  },
  { command: /^S=http/, run: 'in turn' },

  {
    command: /^curl .*127\.0\.0\.1:3001\/status \| grep -c .*no_ticket/,
    run: 'before the first ticket',
  },
  { command: /^curl .*https:\/\/api\.weixin\.qq\.com\//, needs: 'the real WeChat', optional: true },
  {
    command: /^curl .*\/authorization-links\/\$LINK_ID"$/,
    test: ['test/unit/docs/authorizer-examples.test.ts', 'find what a link has brought'],
  },
  {
    command: /^(?:D=http\S+\/deliveries\/|curl .*(?:"\$D[\w/]*"|\/pushes\/[\w-]+")$)/,
    test: ['test/unit/docs/delivering-examples.test.ts', 'asks and orders'],
  },
  {
    command: /^(?:env WEBHOOK_SECRET=\S+ python3 receiver\.py|npm run dev)$/,
    test: ['test/unit/docs/delivering-examples.test.ts', 'round trip'],
  },
  { command: /^curl .*127\.0\.0\.1:3001\//, run: 'in turn' },
  { command: /^xdg-open /, needs: 'the real WeChat' },

  {
    command: /^redis-cli (?:GET|GETDEL|SET|XGROUP|XREADGROUP|XACK|XAUTOCLAIM|INFO replication) ?/,
    run: 'in turn',
  },
  {
    command: /^redis-cli (?:--rdb|ACL|FAILOVER|CONFIG SET appendonly|INFO persistence)/,
    run: 'by a test of its own',
  },
  { command: /^redis-server --appendonly no /, run: 'by a test of its own' },
  { command: /^node -p 'require\("crypto"\)/, run: 'by a test of its own' },

  // Settings that a document shows as a shell would read them; the tests of the settings know them all.
  {
    command: /^(?:export )?[A-Z][A-Z_]+=(?:'[^']*'|\S+)(?: [A-Z][A-Z_]+=\S+)*$/,
    test: ['test/unit/docs/commands.test.ts', 'SETTINGS'],
  },

  // The pages about performance are written by it; before the first time there are none.
  { command: /^npm run test:failovers(?: |$)/, needs: 'a machine of its own' },
  {
    command: /^npm run test:interleavings /,
    test: ['test/integration/interleavings.test.ts', 'placeOnCluster'],
  },
  { command: /^npm run bench(?: |$)/, needs: 'a machine of its own', optional: true },

  // The image and the build: `test/unit/deploy/docker.test.ts` reads what they are made of.
  { command: /^docker /, needs: 'Docker' },
  // What is applied is read by `test/unit/deploy/kubernetes.test.ts`.
  { command: /^kubectl /, needs: 'Kubernetes' },
  {
    command: /^(?:cp \.env\.example \.env|mkdir -p secrets|git pull)$/,
    needs: 'a machine of its own',
  },
  {
    command: /^npm (?:ci|start|run build|prune --omit=dev)(?: && npm .*)?$/,
    needs: 'a machine of its own',
  },
];

/** The rule of a command; undefined when nobody answers for it. */
export function ruleOf({ line }: Command): Rule | undefined {
  return RULES.find(({ command }) => command.test(line));
}

/** Every block of every English document; the Chinese ones have the same, as another test sees to. */
export function shellBlocks(): Block[] {
  return allDocuments()
    .filter(({ path }) => !path.endsWith('.zh-CN.md'))
    .filter(({ path }) => path === 'README.md' || path.startsWith('docs/'))
    .flatMap(({ path, codeBlocks }) =>
      codeBlocks
        .filter(({ language }) => ['sh', 'bash', 'shell', 'console'].includes(language))
        .map(({ code }) => ({ path, code, commands: commandsIn(path, code) })),
    );
}

function commandsIn(path: string, code: string): Command[] {
  return code
    .replace(/\\\n\s*/g, '')
    .split('\n')
    .map((line) => line.replace(/^\s*#.*|\s{2,}#\s.*$/, '').trim())
    .filter((line) => line !== '')
    .map((line) => ({ path, line: line.replace(/ &$/, '') }));
}
