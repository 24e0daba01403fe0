'use strict';

/**
 * Its own handler of messages on bare Express, without Nest around it. It makes no replies: the document is
 * written here, and the package encrypts it, padded to 16 bytes where WeChat's description says 32: the length
 * is such that the two differ.
 */
require('reflect-metadata');
const express = require('express');
const { WeChatService } = require('nest-wechat');

const { PORT, APPID, TOKEN, ENCODING_AES_KEY } = process.env;
const service = new WeChatService({
  appId: APPID,
  secret: 'secret',
  token: TOKEN,
  encodingAESKey: ENCODING_AES_KEY,
});
const web = express();
web.post('/*any', async (request, response) => {
  try {
    const xml = await service.messagePushExpressHandler(request);
    const text = (name) => new RegExp(`<${name}><!\\[CDATA\\[(.*?)]]>`).exec(xml)?.[1];
    const { timestamp, nonce } = request.query;
    const reply = `<xml><ToUserName><![CDATA[${text('FromUserName')}]]></ToUserName><FromUserName><![CDATA[${text('ToUserName')}]]></FromUserName><CreateTime>${timestamp}</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[nest-wechat has heard: ${text('Content')}]]></Content></xml>`;
    response.type('xml').send(service.encryptMessage(reply, timestamp, nonce));
  } catch {
    response.status(401).end();
  }
});
web.listen(Number(PORT), '127.0.0.1');
