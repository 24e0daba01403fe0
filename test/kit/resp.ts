/** As much of Redis's protocol as a proxy has to know: where commands and replies end. */

const CRLF = '\r\n';

/** The first command in these bytes, and where it ends; undefined while it is not whole. */
export function readCommand(bytes: Buffer): { args: string[]; end: number } | undefined {
  const head = lineAt(bytes, 0);
  if (head === undefined) return undefined;
  if (!head.text.startsWith('*')) throw new Error('not a command of a Redis client');
  const args: string[] = [];
  let { end } = head;
  for (let left = Number(head.text.slice(1)); left > 0; left -= 1) {
    const length = lineAt(bytes, end);
    if (length === undefined) return undefined;
    const stop = length.end + Number(length.text.slice(1));
    if (bytes.length < stop + CRLF.length) return undefined;
    args.push(bytes.toString('utf8', length.end, stop));
    end = stop + CRLF.length;
  }
  return { args, end };
}

export function writeCommand(args: readonly string[]): Buffer {
  const parts = args.map((arg) => `$${Buffer.byteLength(arg)}${CRLF}${arg}${CRLF}`);
  return Buffer.from(`*${args.length}${CRLF}${parts.join('')}`);
}

/** Where the reply ends that begins there, in either protocol; undefined while it is not whole. */
export function replyEnd(bytes: Buffer, start = 0): number | undefined {
  const head = lineAt(bytes, start);
  if (head === undefined) return undefined;
  const [type = '', size] = [head.text[0], Number(head.text.slice(1))];
  if ('$=!'.includes(type)) {
    const end = size < 0 ? head.end : head.end + size + CRLF.length;
    return end <= bytes.length ? end : undefined;
  }
  if (!'*~>%'.includes(type)) return head.end;
  let end: number | undefined = head.end;
  for (let left = type === '%' ? 2 * size : size; left > 0 && end !== undefined; left -= 1) {
    end = replyEnd(bytes, end);
  }
  return end;
}

/** What answers no command: news of a subscription. */
export function isPushed(bytes: Buffer): boolean {
  return bytes[0] === '>'.charCodeAt(0);
}

function lineAt(bytes: Buffer, start: number): { text: string; end: number } | undefined {
  const at = bytes.indexOf(CRLF, start);
  if (at === -1) return undefined;
  return { text: bytes.toString('utf8', start, at), end: at + CRLF.length };
}
