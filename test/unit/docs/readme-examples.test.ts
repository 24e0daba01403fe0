import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CREDENTIAL_KINDS } from '../../../src/credentials/kinds/index.ts';
import { SETTINGS } from '../../../src/config/settings.ts';
import { createKeys } from '../../../src/store/redis/keys.ts';
import { PROBLEM_CODES } from '../../../src/status/problems.ts';
import { explainErrcode } from '../../../src/wechat/errcodes.ts';
import {
  allDocuments,
  fragmentOf,
  readDocument,
  relativeLinks,
  ROOT,
  tableRows,
  type Document,
} from './markdown.ts';

/** What the documents claim, as far as it can be checked without the tools they are written for. */

const documents = allDocuments();
const english = documents.filter(({ path }) => existsSync(join(ROOT, chinesePathOf(path))));

function chinesePathOf(path: string): string {
  return path.replace(/\.md$/, '.zh-CN.md');
}

describe('every document', () => {
  it.each(documents.map((one) => [one.path, one] as const))(
    '%s links only to files and headings that exist',
    (path, document) => {
      const dead = relativeLinks(document).filter((link) => {
        const [file = '', fragment] = link.split('#');
        const target = file === '' ? path : normalize(join(dirname(path), file));
        if (!existsSync(join(ROOT, target))) return true;
        if (fragment === undefined) return false;
        const titles = readDocument(target).headings.map(({ title }) => fragmentOf(title));
        return !titles.includes(decodeURIComponent(fragment));
      });
      expect(dead).toEqual([]);
    },
  );

  it('mentions only npm scripts that exist', async () => {
    const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    const mentioned = documents.flatMap(({ path, text }) =>
      [...text.matchAll(/npm (?:run (?:--silent )?([\w:-]+)|(start|test)\b)/g)].map(
        ([, run, short]) => ({ path, script: run ?? short ?? '' }),
      ),
    );
    expect(mentioned.length).toBeGreaterThan(20);
    expect(mentioned.filter(({ script }) => !(script in scripts))).toEqual([]);
  });

  it('names only files of ours that exist', () => {
    const missing = documents.flatMap(({ path, prose }) =>
      [...prose.matchAll(/`((?:src|test|bench|docs)\/[\w./-]+)`/g)]
        .map(([, name = '']) => name)
        .filter((name) => !existsSync(join(ROOT, name)))
        .map((name) => `${path}: ${name}`),
    );
    expect(missing).toEqual([]);
  });
});

describe('what the security documents promise', () => {
  it.each([
    ['SECURITY.md', /## What is protected.*\n([^]*?)\n## /, /^- .*$/gm],
    ['docs/security.md', /## The callback\n([^]*?)\nA stolen push/, /^(?:\d\.|Whatever) .*$/gm],
    ['docs/security.md', /## Keys, scopes, dashboard\n([^]*?)\n## /, /^- .*$/gm],
  ])('%s: each promise names the test that shows it', (path, section, promise) => {
    const [, text = ''] = section.exec(readDocument(path).text) ?? [];
    const promises = text.match(promise) ?? [];
    expect(promises.length).toBeGreaterThan(5);
    const test = /\]\((?:\.\.\/)?test\/[\w./-]+\.test\.ts\)/;
    expect(promises.filter((one) => !test.test(one))).toEqual([]);
  });
});

describe('the two languages', () => {
  // The table of faults is for those who change the code, as CONTRIBUTING.md is.
  const forContributors = 'docs/faults.md';

  it('has a Chinese side for the README and for everything in docs/', () => {
    const wanted = documents
      .map(({ path }) => path)
      .filter((path) => path === 'README.md' || path.startsWith('docs/'))
      .filter((path) => !path.endsWith('.zh-CN.md') && path !== forContributors);
    expect(english.map(({ path }) => path).sort()).toEqual(wanted.sort());
  });

  it.each(english.map((one) => [one.path, one] as const))(
    '%s and its Chinese side have the same headings, code blocks and table rows',
    (path, document) => {
      const chinese = readDocument(chinesePathOf(path));
      expect(chinese.headings.map(({ level }) => level)).toEqual(
        document.headings.map(({ level }) => level),
      );
      expect(chinese.codeBlocks).toEqual(document.codeBlocks);
      expect(tableRows(chinese.prose)).toHaveLength(tableRows(document.prose).length);
      const targets = (one: Document) =>
        relativeLinks(one).map((link) => link.replace('.zh-CN', '').replace(/#.*/, '#'));
      expect(targets(chinese).sort()).toEqual(targets(document).sort());
    },
  );
});

describe('the tables', () => {
  const unknown = explainErrcode(123_456_789, false).meaning;
  const known = [...Array(100_000).keys(), -1, -1000, 9402202]
    .filter((code) => explainErrcode(code, false).meaning !== unknown)
    .map(String);

  it.each(['docs/troubleshooting.md', 'docs/troubleshooting.zh-CN.md'])(
    '%s explains every errcode, under the class that wxkeeper gives it',
    (path) => {
      const table = readDocument(path).prose.slice(
        readDocument(path).prose.lastIndexOf('| errcode'),
      );
      const explained = tableRows(table).flatMap(([codes = '', errorClass = '']) =>
        codes.split(', ').map((code) => `${code} ${errorClass}`),
      );
      const classOf = (code: string) => explainErrcode(Number(code), false).class;
      expect(explained.sort()).toEqual(known.map((code) => `${code} ${classOf(code)}`).sort());
    },
  );

  it('no document or example names a Redis key that does not exist', () => {
    const keys = createKeys('wx:');
    const mirrors = CREDENTIAL_KINDS.map(({ name: kind }) => keys.mirror({ kind, subject: '' }));
    const real = [
      ...[...mirrors, keys.ticketMirror(''), keys.events('')].map((key) => key.replace('{}', '')),
      keys.selfTest('').replace(/\{.*/, ''), // in the ACL of our user
    ];
    const used = documents.flatMap(({ text }) => text.match(/\bwx:[a-z_]+:/g) ?? []);
    expect([...new Set(used)].sort()).toEqual(real.sort());
  });

  it.each(['docs/status.md', 'docs/status.zh-CN.md'])(
    '%s explains every problem, and every state with its reason',
    (path) => {
      const rows = tableRows(readDocument(path).prose);
      const source = (file: string) => readFileSync(join(ROOT, 'src', file), 'utf8');
      const codes = PROBLEM_CODES.map((code) => `\`${code}\``);
      expect(rows.map(([first]) => first)).toEqual(expect.arrayContaining(codes));

      const freshness = source('credentials/freshness.ts');
      const pairs = [...freshness.matchAll(/state: '(\w+)', reason: '(\w+)'/g)];
      expect(pairs.length).toBeGreaterThan(6);
      const explained = rows.map(([state, reason]) => [state, reason]);
      const wanted = pairs.map(([, state, reason]) =>
        [state, reason].map((one) => `\`${one ?? ''}\``),
      );
      expect(explained).toEqual(expect.arrayContaining(wanted));
    },
  );

  it.each(['docs/production.md', 'docs/production.zh-CN.md'])(
    '%s lists the settings that may come from a file',
    (path) => {
      const { prose } = readDocument(path);
      const paragraph = prose.split('\n').find((line) => line.includes('`_FILE`')) ?? '';
      const named = [...paragraph.matchAll(/`([A-Z][A-Z_]+)`/g)].map(([, name]) => name);
      const secrets = SETTINGS.filter((one) => one.secret === true).map(({ name }) => name);
      expect(named.sort()).toEqual(secrets.sort());
    },
  );
});
