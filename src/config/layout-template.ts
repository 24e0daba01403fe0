/**
 * Names of keys as applications make them: fixed text, what differs from account to account, and MD5s of
 * both. `{appid}` stands for a word, `{secret:json}` for the word as PHP's json_encode writes it between
 * quotes, `md5(…)` for the MD5, in hex, of what stands in it.
 */

export const TEMPLATE_WORDS = [
  'prefix',
  'appid',
  'component',
  'secret',
  'ticket',
  'refresh_token',
] as const;
export type TemplateWord = (typeof TEMPLATE_WORDS)[number];

export type TemplatePart =
  { text: string } | { word: TemplateWord; json: boolean } | { md5: readonly TemplatePart[] };

const PIECE = /md5\(([^)]*)\)|\{([a-z_0-9]+)(:[a-z]+)?\}/g;

/** @returns the fault when it cannot be read, in words that do not quote it */
export function parseTemplate(template: string): readonly TemplatePart[] | string {
  const parts: TemplatePart[] = [];
  let end = 0;
  const addText = (text: string) => {
    if (text !== '') parts.push({ text });
  };
  for (const { 0: whole, 1: inner, 2: word, 3: how, index } of template.matchAll(PIECE)) {
    addText(template.slice(end, index));
    end = index + whole.length;
    if (inner !== undefined) {
      const hashed = parseTemplate(inner);
      if (typeof hashed === 'string') return hashed;
      parts.push({ md5: hashed });
      continue;
    }
    const known = TEMPLATE_WORDS.find((one) => one === word);
    if (known === undefined || (how !== undefined && how !== ':json')) {
      return `knows only {${TEMPLATE_WORDS.join('}, {')}} and md5(…)`;
    }
    parts.push({ word: known, json: how !== undefined });
  }
  addText(template.slice(end));
  return parts;
}

/** The words that a name is made of, at any depth. */
export function wordsIn(parts: readonly TemplatePart[]): TemplateWord[] {
  return parts.flatMap((part) => {
    if ('md5' in part) return wordsIn(part.md5);
    return 'word' in part ? [part.word] : [];
  });
}
