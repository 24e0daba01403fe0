import { createDecipheriv, createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Redis } from 'ioredis';

/**
 * What a ticket push costs at the least on Node: `node:http`, the cryptography and one awaited SET. It
 * checks the signature, the padding and the appid, and nothing else.
 */
const env = (name: string): string => process.env[name] ?? '';
const [appid, token, ticketKey] = [env('APPID'), env('TOKEN'), env('TICKET_KEY')];
const key = Buffer.from(`${env('ENCODING_AES_KEY')}=`, 'base64');
const iv = key.subarray(0, 16);
const redis = new Redis(env('REDIS_URL'));

createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => void answer(request, response, Buffer.concat(chunks).toString()));
}).listen(Number(env('PORT')), '127.0.0.1');

async function answer(request: IncomingMessage, response: ServerResponse, body: string) {
  const ticket = ticketOf(request.url ?? '', body);
  if (ticket === undefined) {
    response.writeHead(401).end();
    return;
  }
  try {
    await redis.set(ticketKey, ticket);
  } catch {
    response.writeHead(503).end();
    return;
  }
  response.writeHead(200, { 'content-type': 'text/plain', 'content-length': 7 }).end('success');
}

function ticketOf(url: string, body: string): string | undefined {
  const encrypted = between(body, '<Encrypt><![CDATA[', ']]>');
  const query = new URLSearchParams(url.slice(url.indexOf('?') + 1));
  const parts = [token, query.get('timestamp') ?? '', query.get('nonce') ?? '', encrypted];
  const signature = createHash('sha1').update(parts.sort().join('')).digest('hex');
  if (signature !== query.get('msg_signature')) return undefined;
  const decipher = createDecipheriv('aes-256-cbc', key, iv).setAutoPadding(false);
  const padded = Buffer.concat([decipher.update(encrypted, 'base64'), decipher.final()]);
  const padding = padded.at(-1) ?? 0;
  if (padding < 1 || padding > 32) return undefined;
  const plain = padded.subarray(0, padded.length - padding);
  const end = 20 + plain.readUInt32BE(16);
  if (plain.toString('utf8', end) !== appid) return undefined;
  const document = plain.toString('utf8', 20, end);
  return between(document, '<ComponentVerifyTicket><![CDATA[', ']]>');
}

function between(text: string, before: string, after: string): string {
  const from = text.indexOf(before) + before.length;
  return text.slice(from, text.indexOf(after, from));
}
