'use strict';

/** As its README says: answers each message with a text, encrypted by the package itself. */
const Koa = require('koa');
const wechat = require('co-wechat');

const { PORT, APPID, TOKEN, ENCODING_AES_KEY } = process.env;
const app = new Koa();
app.silent = true;
const config = { token: TOKEN, appid: APPID, encodingAESKey: ENCODING_AES_KEY };
app.use(wechat(config).middleware(async (message) => `co-wechat heard ${message.Content}`));
app.listen(Number(PORT), '127.0.0.1');
