import type { Request } from 'express';
import type { Language } from '../../lib/language.ts';

/** As HTML and HTTP name it. */
export const LANGUAGE_TAG: Readonly<Record<Language, string>> = { en: 'en', zh: 'zh-CN' };

/** What the browser asks for. @param otherwise for one that does not say */
export function languageOf(request: Request, otherwise: Language): Language {
  if ((request.get('accept-language') ?? '').trim() === '') return otherwise;
  return request.acceptsLanguages('zh', 'en') === 'zh' ? 'zh' : 'en';
}
