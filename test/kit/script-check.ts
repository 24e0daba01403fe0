/**
 * The checks that proxies of cloud clusters do on the text of a script before it runs. Alibaba Cloud has
 * written its own down: help.aliyun.com/document_detail/92942.html, "Limits on Lua scripts in cluster
 * instances".
 */

export interface ScriptCheck {
  /** KEYS must be indexed by a number that stands there, not by a variable. */
  literalIndexes?: boolean;
  noUnpack?: boolean;
  noPublish?: boolean;
}

/** Commands of which no argument is a key. */
const WITHOUT_KEY = new Set(['INFO', 'PING', 'PUBLISH', 'TIME']);
/** Commands of which every argument is a key. */
const ALL_KEYS = new Set(['DEL', 'EXISTS', 'MGET', 'RENAME', 'UNLINK']);

export interface BadCall {
  /** As it stands in the script, to its end or the end of its line. */
  call: string;
  why: 'name' | 'key' | 'index' | 'unpack' | 'publish';
}

/** Calls of Redis in a script for which a proxy refuses the whole script. */
export function badCalls(body: string, check: ScriptCheck = {}): BadCall[] {
  const code = body.replaceAll(/--[^\n]*/g, '');
  const calls = [...code.matchAll(/redis\s*\.\s*p?call\s*\(/g)].map(({ index, 0: start }) => {
    const args = argumentsAt(code, index + start.length);
    return { args, call: code.slice(index, code.indexOf('\n', index) >>> 0) };
  });
  const bad = calls.flatMap(({ args, call }): BadCall[] => {
    const why = faultOf(args, check);
    return why === undefined ? [] : [{ call, why }];
  });
  if (check.noUnpack === true && /\bunpack\s*\(/.test(code)) {
    bad.push({ call: 'unpack', why: 'unpack' });
  }
  return bad;
}

function faultOf([first = '', ...rest]: string[], check: ScriptCheck): BadCall['why'] | undefined {
  const name = /^(['"])(\w+)\1$/.exec(first)?.[2]?.toUpperCase();
  if (name === undefined) return 'name';
  if (check.noPublish === true && name === 'PUBLISH') return 'publish';
  if (WITHOUT_KEY.has(name)) return undefined;
  const keys = ALL_KEYS.has(name) ? rest : rest.slice(0, 1);
  if (keys.length === 0 || !keys.every((key) => /^KEYS\s*\[[^\]]+\]$/.test(key))) return 'key';
  const literal = keys.every((key) => /^KEYS\s*\[\s*\d+\s*\]$/.test(key));
  return check.literalIndexes === true && !literal ? 'index' : undefined;
}

/** The arguments of a call whose bracket has just been opened. */
function argumentsAt(code: string, start: number): string[] {
  const found: string[] = [];
  let [depth, quote, from] = [0, '', start];
  for (let at = start; at < code.length; at += 1) {
    const one = code[at] ?? '';
    if (quote !== '') {
      if (one === '\\') at += 1;
      else if (one === quote) quote = '';
    } else if (one === '"' || one === "'") quote = one;
    else if ('([{'.includes(one)) depth += 1;
    else if (depth > 0 && ')]}'.includes(one)) depth -= 1;
    else if (depth === 0 && (one === ',' || one === ')')) {
      found.push(code.slice(from, at).trim());
      from = at + 1;
      if (one === ')') return found;
    }
  }
  return found;
}
