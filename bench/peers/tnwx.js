'use strict';

/**
 * As its Express sample: the body as it came to `WeChat.handleMsg`, and an adapter with one method for
 * each message. A push that is forged makes it throw where nobody can catch it, and ends the process.
 */
const express = require('express');
const { ApiConfig, ApiConfigKit, WeChat } = require('tnwx');
const { component, listen, store } = require('./common.js');

const { appid, token, encodingAesKey } = component;
ApiConfigKit.putApiConfig(new ApiConfig(appid, 'secret', token, true, encodingAesKey));
ApiConfigKit.setCurrentAppId(appid);
const adapter = {
  async processInComponentVerifyTicket(message) {
    await store(message.getTicket);
    return 'success';
  },
};
const app = express();
app.disable('x-powered-by').disable('etag');
app.post('/*any', express.text({ type: () => true, limit: '64kb' }), (request, response) => {
  const { msg_signature: signature, timestamp, nonce } = request.query;
  WeChat.handleMsg(adapter, request.body, signature, timestamp, nonce).then(
    (answer) => response.send(answer),
    () => response.status(401).end(),
  );
});
listen(app);
