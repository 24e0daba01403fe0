import { createServer, type ServerResponse } from 'node:http';
import { Redis } from 'ioredis';

/** A credential over `node:http`, with one GET of its value for each request. No key is asked for. */
const env = (name: string): string => process.env[name] ?? '';
const redis = new Redis(env('REDIS_URL'));
createServer((request, response) => {
  const [kind = '', component = '', authorizer = ''] = (request.url ?? '').split('/').slice(3);
  void answer(response, kind, `${component}:{${authorizer}}`);
}).listen(Number(env('PORT')), '127.0.0.1');

async function answer(response: ServerResponse, kind: string, subject: string): Promise<void> {
  const value = await redis.get(`${env('PREFIX')}${kind}:${subject}`);
  if (value === null) {
    response.writeHead(404).end();
    return;
  }
  const body = JSON.stringify({ kind, subject, value });
  const length = Buffer.byteLength(body);
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': length });
  response.end(body);
}
