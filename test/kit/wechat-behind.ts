import http from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * WeChat as the gateway sees it: the simulator for what concerns tokens, and for all other calls what a test
 * says. Every call is kept.
 */
export interface WechatBehind {
  url: string;
  calls: BehindCall[];
  /** Where calls for tokens go. */
  simulator: string;
  /** Of all calls that are none for tokens. */
  answer(how: http.RequestListener): void;
  close(): Promise<void>;
}

export interface BehindCall {
  method: string;
  url: URL;
  headers: http.IncomingHttpHeaders;
  /** Bytes of its body so far. */
  bytes: number;
  body: string;
  /** It was ended before it was answered. */
  isBroken: boolean;
}

const OF_TOKENS = /^\/cgi-bin\/(token|stable_token|ticket\/|component\/api_)/;
/** Of a body, for looking at. */
const MOST_KEPT = 10_000;

export async function startWechatBehind(): Promise<WechatBehind> {
  let how: http.RequestListener = (_request, response) => response.end('{"errcode":0}');
  const server = http.createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://wechat');
    if (OF_TOKENS.test(url.pathname)) {
      passOn(behind.simulator, request, response);
      return;
    }
    const { method = '', headers } = request;
    const call = { method, url, headers, bytes: 0, body: '', isBroken: false };
    behind.calls.push(call);
    request.on('data', (chunk: Buffer) => {
      call.bytes += chunk.length;
      if (call.body.length < MOST_KEPT) call.body += chunk.toString('latin1');
    });
    request.on('close', () => (call.isBroken ||= !request.complete));
    response.on('close', () => (call.isBroken ||= !response.writableFinished));
    how(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const behind: WechatBehind = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls: [],
    simulator: '',
    answer: (next) => (how = next),
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return behind;
}

function passOn(origin: string, request: http.IncomingMessage, response: http.ServerResponse) {
  const { method, headers, url = '' } = request;
  const further = http.request(new URL(url, origin), { method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 500, answer.headers);
    answer.pipe(response);
  });
  further.on('error', () => response.destroy());
  request.pipe(further);
}
