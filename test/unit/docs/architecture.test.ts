import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const ROOT = new URL('../../../', import.meta.url);
const textOf = (path: string) => readFileSync(new URL(path, ROOT), 'utf8');

/** Each step of the walks: the file that it names first, and the functions named beside it. */
function stepsOf(document: string) {
  const text = textOf(document);
  const walks = text.slice(text.indexOf('\n### '));
  return [...walks.matchAll(/^- `([\w./-]+\.(?:ts|lua))`(.*)$/gm)].map(
    ([, file = '', rest = '']) => {
      const names = [...rest.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);
      return {
        file,
        files: names.filter((name) => /\.(?:ts|lua)$/.test(name)),
        functions: names.filter((name) => /^\w+$/.test(name)),
      };
    },
  );
}

describe.each(['docs/architecture.md', 'docs/architecture.zh-CN.md'])('%s', (document) => {
  const steps = stepsOf(document);

  it('names files that are there, with what is said to be in them', () => {
    expect(steps.length).toBeGreaterThan(60);
    for (const { file, files, functions } of steps) {
      const texts = [file, ...files].map((one) => textOf(`src/${one}`)).join('\n');
      for (const name of functions) expect(texts, `${file}: ${name}`).toContain(name);
    }
  });

  it('draws every room', () => {
    const [, picture = ''] = /```text\n([\s\S]*?)```/.exec(textOf(document)) ?? [];
    const all = readdirSync(new URL('src/', ROOT), { withFileTypes: true })
      .filter((one) => one.isDirectory())
      .map(({ name }) => name);
    expect(all.length).toBeGreaterThan(12);
    expect(all.filter((room) => !new RegExp(`\\b${room}\\b`).test(picture))).toEqual([]);
  });
});

it('both languages walk the same way', () => {
  const files = (document: string) =>
    stepsOf(document).map(({ file, functions }) => [file, functions]);
  expect(files('docs/architecture.zh-CN.md')).toEqual(files('docs/architecture.md'));
});
