import { createServer, type ServerResponse } from 'node:http';

/**
 * An application behind delivery routes: `/well` takes everything at once, `/slow` after two seconds, and
 * `/reply` has a text for the user after twenty milliseconds. `/count` says how many pushes `/well` has had.
 */
const SLOW_MS = 2_000;
const THINKING_MS = 20;
const REPLY = JSON.stringify({ type: 'text', content: 'Good morning!' });
const ids = new Set<unknown>();
const answers: Readonly<Record<string, (response: ServerResponse, id: unknown) => unknown>> = {
  '/well': (response, id) => {
    ids.add(id);
    response.end();
  },
  '/slow': (response) => setTimeout(() => response.end(), SLOW_MS),
  '/reply': (response) => setTimeout(() => response.end(REPLY), THINKING_MS),
  '/count': (response) => response.end(String(ids.size)),
};
createServer((request, response) => {
  const [path = ''] = (request.url ?? '').split('?');
  request.resume().on('end', () => {
    const answer = answers[path];
    if (answer === undefined) response.writeHead(404).end();
    else answer(response, request.headers['webhook-id']);
  });
}).listen(Number(process.env['PORT']), '127.0.0.1');
