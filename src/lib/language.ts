/** What people are spoken to in. */
export type Language = 'zh' | 'en';

/** A short text in both, where it is used. Long lists are files of their own, `en.ts` and `zh.ts`. */
export type Text = Readonly<Record<Language, string>>;

export function say(text: Text, language: Language): string {
  return text[language];
}
