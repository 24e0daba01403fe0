'use strict';

/** As its README says: answers each message with a text, encrypted by the package itself. */
const express = require('express');
const { OpenPlatform, ServerRequest } = require('node-easywechat');

const { PORT, APPID, TOKEN, ENCODING_AES_KEY } = process.env;
const config = { app_id: APPID, secret: 'secret', token: TOKEN, aes_key: ENCODING_AES_KEY };
const web = express();
web.post('/*any', async (request, response) => {
  try {
    const app = new OpenPlatform({ ...config });
    app.setRequest(await ServerRequest.createFromIncomingMessage(request));
    const server = app.getServer();
    server.with(async (message) => `node-easywechat heard ${message.get('Content')}`);
    const answer = await server.serve();
    response.status(answer.getStatusCode()).type('xml').send(answer.getBody().toString());
  } catch {
    response.status(401).end();
  }
});
web.listen(Number(PORT), '127.0.0.1');
