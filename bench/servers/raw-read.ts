import { createServer } from 'node:http';

/** A credential from memory over `node:http`. No key is asked for. */
const env = (name: string): string => process.env[name] ?? '';
const credentials = new Map([[env('SUBJECT'), JSON.parse(env('ANSWER')) as object]]);
createServer((request, response) => {
  const subject = (request.url ?? '').split('/').at(-1) ?? '';
  const body = JSON.stringify(credentials.get(subject));
  const length = Buffer.byteLength(body);
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': length });
  response.end(body);
}).listen(Number(env('PORT')), '127.0.0.1');
