/** As WeChat writes it: `wx` and 16 letters or digits; all that were ever seen are lower-case hex. */
export const APPID = /^wx[0-9a-zA-Z]{16}$/;
/** Of what somebody enters for himself, where anything else was a slip: an O for a 0, or capitals. */
export const OWN_APPID = /^wx[0-9a-f]{16}$/;
const ANY_CASE = /^wx[0-9a-z]{16}$/i;
const HEX = /^wx[0-9a-f]{16}$/i;

/**
 * An appid as it is kept: consoles and people write them in capitals, too.
 * @returns undefined when it is none
 */
export function readAppid(text: string): string | undefined {
  if (!ANY_CASE.test(text)) return undefined;
  return HEX.test(text) ? text.toLowerCase() : `wx${text.slice(2)}`;
}
