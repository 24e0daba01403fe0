import { createNodeResolver, importX } from 'eslint-plugin-import-x';
import prettier from 'eslint-config-prettier';
import tseslint from 'typescript-eslint';

/**
 * Rooms import downward only. A room may import the rooms listed for it, itself, and the two on the ground;
 * anything else is a lint error.
 */
const GROUND = ['config', 'lib'];
const SIDES = ['wechat', 'store'];
const MIDDLE = ['authorizers', 'callbacks', 'deliveries', 'layouts', 'tickets'];
const MAY_IMPORT = {
  wechat: [],
  store: [],
  credentials: SIDES,
  tickets: ['credentials', ...SIDES],
  deliveries: SIDES,
  layouts: ['credentials', ...SIDES],
  callbacks: ['deliveries', 'tickets', 'credentials', ...SIDES],
  authorizers: ['credentials', ...SIDES],
  status: ['authorizers', 'deliveries', 'credentials', ...SIDES],
  alerts: ['status', 'authorizers', 'credentials', ...SIDES],
  metrics: ['status', 'authorizers', 'deliveries', 'credentials', ...SIDES],
  schedule: ['alerts', 'metrics', 'status', ...MIDDLE, 'credentials', ...SIDES],
  http: ['alerts', 'metrics', 'status', ...MIDDLE, 'credentials', ...SIDES],
};
const ROOMS = [...Object.keys(MAY_IMPORT), 'sandbox', 'commands'];
const TOP = ['main.ts', 'service.ts', 'parts.ts'];

const zones = Object.entries(MAY_IMPORT).map(([room, below]) => ({
  target: `./src/${room}`,
  from: './src',
  except: [...GROUND, room, ...below].map((name) => `./${name}`),
  message: `src/${room} may import only ${[...below, ...GROUND].join(', ')}`,
}));
zones.push({
  target: './src/sandbox/wechat',
  from: './src',
  except: ['./sandbox/wechat', './wechat/push/envelope.ts'],
  message:
    'the simulator is a stranger to our code: it may import wechat/push/envelope and nothing else',
});
zones.push(
  {
    target: './src/lib',
    from: './src',
    except: ['./lib'],
    message: 'src/lib is what any program might have: it imports nothing of ours',
  },
  {
    target: './src/config',
    from: './src',
    except: ['./config', './lib'],
    message: 'src/config may import only lib',
  },
);
zones.push({
  target: './src/client',
  from: './src',
  except: ['./client'],
  message: 'src/client is for other programs: it imports nothing of the service, and no package',
});
for (const room of ['sandbox', 'commands']) {
  zones.push({
    target: `./src/${room}`,
    from: './src',
    except: [...ROOMS, ...GROUND].map((name) => `./${name}`),
    message: `${room} do not import ${TOP.join(' or ')}: they start processes`,
  });
}

export default tseslint.config(
  // Glue around other people's packages, which have no types.
  {
    ignores: [
      'dist',
      'coverage',
      '.cache',
      'data',
      'eslint.config.js',
      'bench/peers',
      'test/consumers/apps',
    ],
  },
  ...tseslint.configs.strictTypeChecked,
  {
    files: ['**/*.ts', '**/*.js'],
    plugins: { 'import-x': importX },
    languageOptions: { parserOptions: { projectService: true } },
    settings: {
      'import-x/parsers': { '@typescript-eslint/parser': ['.ts'] },
      'import-x/resolver-next': [createNodeResolver({ extensions: ['.ts', '.js'] })],
      'import-x/extensions': ['.ts', '.js'],
    },
    rules: {
      'import-x/no-default-export': 'error',
      'import-x/no-restricted-paths': ['error', { zones }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // Mistakes winston's own transport classes for lookalikes.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      'preserve-caught-error': 'error',
      'no-console': 'error',
      'no-restricted-syntax': [
        'error',
        {
          selector: 'ObjectExpression > SpreadElement > ObjectExpression',
          message: 'a literal spread into a literal: write its fields out',
        },
      ],
      'max-lines': ['error', { max: 400 }],
      'max-lines-per-function': ['error', { max: 60, skipComments: true, skipBlankLines: true }],
      'no-restricted-properties': [
        'error',
        {
          object: 'process',
          property: 'env',
          message: 'only config/load.ts reads the environment',
        },
      ],
    },
  },
  {
    files: ['src/**'],
    ignores: ['src/http/**'],
    rules: { 'no-restricted-imports': ['error', 'express', 'express-rate-limit'] },
  },
  { files: ['src/config/load.ts'], rules: { 'no-restricted-properties': 'off' } },
  {
    files: ['src/commands/**', 'src/sandbox/**', 'bench/**'],
    rules: { 'no-console': 'off', 'no-restricted-properties': 'off' },
  },
  {
    files: ['test/**', 'bench/**'],
    rules: {
      'max-lines': 'off',
      'max-lines-per-function': 'off',
      'no-restricted-properties': 'off',
      '@typescript-eslint/unbound-method': 'off',
    },
  },
  { files: ['*.config.*'], rules: { 'import-x/no-default-export': 'off' } },
  prettier,
);
