import { parseArgs, type ParseArgsConfig } from 'node:util';
import type { Language } from '../../lib/language.ts';
import { OWN_APPID } from '../../config/appid.ts';
import { UsageError } from './usage.ts';

/** @throws UsageError */
export function readFlags<T extends NonNullable<ParseArgsConfig['options']>>(
  args: readonly string[],
  options: T,
  allowPositionals = false,
) {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** @throws UsageError */
export function readLanguage(lang: string | undefined): Language {
  if (lang === undefined || lang === 'en' || lang === 'zh') return lang ?? 'en';
  throw new UsageError(`--lang must be en or zh, not "${lang}"`);
}

/** @throws UsageError */
export function checkAppid(flag: string, appid: string | undefined): void {
  if (appid === undefined || OWN_APPID.test(appid)) return;
  throw new UsageError(`${flag} must be wx and 16 lower-case hex digits, not "${appid}"`);
}
