import express from 'express';

/** The least a callback endpoint can be: Express reads the body and says success. */
const app = express();
app.disable('x-powered-by').disable('etag');
app.post('/*any', express.raw({ type: () => true, limit: '64kb' }), (_request, response) => {
  response.type('text/plain').send('success');
});
const server = app.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') process.send?.({ port: address.port });
});
process.on('disconnect', () => process.exit(0));
