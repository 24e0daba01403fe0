'use strict';

/** As its README says, on Koa. Its answer to a handler that returns nothing is empty, so `success` is added. */
const Koa = require('koa');
const wechat = require('co-wechat');
const { component, listen, store } = require('./common.js');

const { token, appid, encodingAesKey: encodingAESKey } = component;
const app = new Koa();
app.silent = true;
app.use(async (context, next) => {
  await next();
  if (context.status === 200) context.body = 'success';
});
app.use(
  wechat({ token, appid, encodingAESKey }).middleware(async (message) => {
    await store(message.ComponentVerifyTicket);
    return '';
  }),
);
listen(app);
