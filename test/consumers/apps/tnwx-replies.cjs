'use strict';

/** As its Express sample: an adapter answers each text, and the package encrypts the answer. */
const express = require('express');
const { ApiConfig, ApiConfigKit, OutTextMsg, WeChat } = require('tnwx');

const { PORT, APPID, TOKEN, ENCODING_AES_KEY } = process.env;
ApiConfigKit.putApiConfig(new ApiConfig(APPID, 'secret', TOKEN, true, ENCODING_AES_KEY));
ApiConfigKit.setCurrentAppId(APPID);
const adapter = {
  async processInTextMsg(message) {
    return new OutTextMsg(message).setContent(`tnwx heard ${message.getContent}`);
  },
};
const web = express();
web.post('/*any', express.text({ type: () => true }), (request, response) => {
  const { msg_signature: signature, timestamp, nonce } = request.query;
  WeChat.handleMsg(adapter, request.body, signature, timestamp, nonce).then(
    (answer) => response.type('xml').send(answer),
    () => response.status(401).end(),
  );
});
web.listen(Number(PORT), '127.0.0.1');
