import type { Language } from '../../../lib/language.ts';
import type { ErrorCode, KeeperError } from '../../../lib/errors.ts';
import type { Page } from '../../pages/page.ts';
import { button, merchantPage, paragraph } from './layout.ts';
import { WORDING, type Wording } from './wording.ts';

type Kind = 'invalid' | 'over' | 'notFound' | 'method' | 'tooMany' | 'damaged';

const KINDS: Partial<Record<ErrorCode, Kind>> = {
  link_invalid: 'invalid',
  link_expired: 'over',
  unknown_component: 'notFound',
  not_found: 'notFound',
  method_not_allowed: 'method',
  too_many_requests: 'tooMany',
  bad_request: 'damaged',
};

/** The page for an error: what it means to a merchant, and what to do. Never our own words for it. */
export function problemPage(language: Language, error: KeeperError, onDone: boolean): Page {
  const words = WORDING[language];
  const [title, text] = sentences(words, error, onDone);
  const again = error.status === 503 ? [button('', words.tryAgain, true)] : [];
  return merchantPage({ language, title, body: [paragraph(text), ...again] });
}

function sentences(words: Wording, error: KeeperError, onDone: boolean): [string, string] {
  if (error.status === 503) {
    return onDone
      ? [words.notStoredTitle, words.notStoredText]
      : [words.laterTitle, words.laterText];
  }
  const kind = KINDS[error.code] ?? 'fault';
  return [words[`${kind}Title`], words[`${kind}Text`]];
}
