'use strict';

/**
 * As its README says, on bare Express: an app for each request, because the request is set on the app and
 * its server adds a handler to itself with each call. Its own handler of tickets does not wait for the
 * cache, so one that does takes its place. It asks for a file of node-socialite that later versions do not
 * have, so that one is held back in package.json.
 */
const express = require('express');
const { OpenPlatform, ServerRequest } = require('node-easywechat');
const { component, listen, store } = require('./common.js');

const config = {
  app_id: component.appid,
  secret: 'secret',
  token: component.token,
  aes_key: component.encodingAesKey,
};
const web = express();
web.disable('x-powered-by').disable('etag');
web.post('/*any', async (request, response) => {
  let answer;
  try {
    const app = new OpenPlatform({ ...config });
    app.setRequest(await ServerRequest.createFromIncomingMessage(request));
    const server = app.getServer();
    server.handleVerifyTicketRefreshed(async (message, next) => {
      await store(message.get('ComponentVerifyTicket'));
      return next(message);
    });
    answer = await server.serve();
  } catch {
    return response.status(401).end();
  }
  response.status(answer.getStatusCode()).send(answer.getBody().toString());
});
listen(web);
