import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** As much Markdown as it takes to check our own documents. */

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

export interface CodeBlock {
  language: string;
  code: string;
}

export interface Document {
  /** Path below the root of the repository. */
  path: string;
  text: string;
  codeBlocks: readonly CodeBlock[];
  /** What is left without the code blocks. */
  prose: string;
  headings: readonly { level: number; title: string }[];
}

const FENCE = /^ *```(\w*)\n([\s\S]*?)^ *```$/gm;

export function readDocument(path: string): Document {
  const text = readFileSync(join(ROOT, path), 'utf8');
  const prose = text.replace(FENCE, '');
  return {
    path,
    text,
    prose,
    codeBlocks: [...text.matchAll(FENCE)].map(([, language = '', code = '']) => ({
      language,
      code,
    })),
    headings: [...prose.matchAll(/^(#{1,6}) (.+)$/gm)].map(([, marks = '', title = '']) => ({
      level: marks.length,
      title,
    })),
  };
}

/** Every document of the project: those at the root and those in docs/. */
export function allDocuments(): Document[] {
  const markdown = (folder: string) =>
    readdirSync(join(ROOT, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(folder, name));
  return [...markdown('.'), ...markdown('docs')].sort().map(readDocument);
}

/** The fragment under which GitHub links to a heading. */
export function fragmentOf(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{M} _-]/gu, '')
    .replaceAll(' ', '-');
}

/** Targets of links and images that stay inside the repository. */
export function relativeLinks({ prose }: Document): string[] {
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target));
}

/** The cells of every table row, heads and rules left out. */
export function tableRows(text: string): string[][] {
  const rows = [...text.matchAll(/^\|(.+)\|$/gm)].map(([, row = '']) =>
    row.split(/(?<!\\)\|/).map((cell) => cell.trim()),
  );
  const isRule = (cells: string[] | undefined) => cells?.every((cell) => /^:?-+:?$/.test(cell));
  return rows.filter((row, index) => isRule(row) !== true && isRule(rows[index + 1]) !== true);
}
