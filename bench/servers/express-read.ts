import express from 'express';

/** A credential from memory, as the least Express application answers it. No key is asked for. */
const env = (name: string): string => process.env[name] ?? '';
const credentials = new Map([[env('SUBJECT'), JSON.parse(env('ANSWER')) as object]]);
const app = express();
app.disable('x-powered-by').disable('etag');
app.get('/v1/credentials/:kind/:component', (request, response) => {
  response.json(credentials.get(request.params.component));
});
app.listen(Number(env('PORT')), '127.0.0.1');
