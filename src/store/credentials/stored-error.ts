import * as z from 'zod';

/**
 * Why a call failed, as data: what is said about it is made of this where it is shown, in either
 * language. Never holds a secret.
 */
export interface StoredError {
  class: string;
  /** What happened, by which its words are found; undefined when there are no others than these. */
  fault?: string | undefined;
  /** WeChat's name of the call. */
  api?: string | undefined;
  errcode?: number | undefined;
  /** WeChat's id of the request. */
  rid?: string | undefined;
  /** As WeChat saw it. */
  address?: string | undefined;
  /** Of the answer: the field that is malformed, or those that are not as documented. */
  field?: string | undefined;
  undocumented?: string | undefined;
  /** English, for a fault that has no other words here and for 0.1.0, which reads only this. */
  message: string;
  advice: string;
}

const text = z.string().optional().catch(undefined);

export const storedError = z
  .object({
    class: z.string(),
    fault: text,
    api: text,
    errcode: z.number().optional().catch(undefined),
    rid: z.string().optional(),
    address: text,
    field: text,
    undocumented: text,
    message: z.string(),
    advice: z.string().catch(''),
  })
  .transform((error): StoredError => (error.fault === undefined ? ofFormer(error) : error));

const CALL = /^(\w+): (?:errcode -?\d+|(\w+)): (.*)$/;
/** One address or several, IPv4 or IPv6. */
const ADDRESS = / \(([\da-f]*[.:][\da-f.:]+(?:, [\da-f.:]+)*)\)$/i;
const MALFORMED = /^(\w+) in the answer is empty or malformed$/;
const UNDOCUMENTED = /^the answer is not what WeChat documents \((.+)\)$/;

/** What 0.1.0 knew about a call, it wrote into one sentence. */
function ofFormer(error: StoredError): StoredError {
  const [, api, fault = 'errcode', meaning = ''] = CALL.exec(error.message) ?? [];
  if (api === undefined) return error;
  return {
    ...error,
    api,
    fault,
    address: ADDRESS.exec(meaning)?.[1],
    field: MALFORMED.exec(meaning)?.[1],
    undocumented: UNDOCUMENTED.exec(meaning)?.[1],
  };
}
