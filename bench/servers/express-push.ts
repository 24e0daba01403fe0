import express from 'express';
import { Redis } from 'ioredis';

/** The least that an Express application can do with a push: read it, store it as it came, answer. */
const env = (name: string): string => process.env[name] ?? '';
const redis = new Redis(env('REDIS_URL'));
const app = express();
app.disable('x-powered-by').disable('etag');
app.post('/*any', express.raw({ type: () => true, limit: '64kb' }), async (request, response) => {
  await redis.set(env('TICKET_KEY'), request.body as Buffer);
  response.type('text/plain').send('success');
});
app.listen(Number(env('PORT')), '127.0.0.1');
