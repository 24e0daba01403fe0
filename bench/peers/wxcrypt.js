'use strict';

/** Its README has the class only. On Koa, which costs less than Express. */
const Koa = require('koa');
const getRawBody = require('raw-body');
const WXBizMsgCrypt = require('wxcrypt');
const { component, listen, store } = require('./common.js');

const crypt = new WXBizMsgCrypt(component.token, component.encodingAesKey, component.appid);
const app = new Koa();
app.silent = true;
app.use(async (context) => {
  const { msg_signature: signature, timestamp, nonce } = context.query;
  const body = await getRawBody(context.req, { limit: '64kb', encoding: 'utf8' });
  let document;
  try {
    document = crypt.decryptMsg(signature, timestamp, nonce, body);
  } catch {
    context.throw(401);
  }
  await store(WXBizMsgCrypt.x2o(document).xml.ComponentVerifyTicket);
  context.body = 'success';
});
listen(app);
