'use strict';

/**
 * As its README says, on Express. It does not wait for `saveTicket` but answers in the same turn, so the
 * answer is held until Redis has acknowledged. It checks `signature`, which does not cover the body.
 */
const express = require('express');
const weixin = require('weixin-service');
const { component, listen, store } = require('./common.js');

let stored = Promise.resolve();
const service = weixin({
  appid: component.appid,
  appsecret: 'secret',
  token: component.token,
  encrypt_key: component.encodingAesKey,
  saveTicket: (ticket) => {
    stored = store(ticket);
  },
});
const holdAnswer = (_request, response, next) => {
  const send = response.send.bind(response);
  response.send = (body) => {
    stored.then(() => send(body));
    return response;
  };
  next();
};
const app = express();
app.disable('x-powered-by').disable('etag');
app.post(
  '/*any',
  holdAnswer,
  service.bodyParserMiddlewares(),
  service.noticeHandle((_request, response) => response.send('success')),
);
app.use((_error, _request, response, _next) => response.status(401).end());
listen(app);
