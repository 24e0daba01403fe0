'use strict';

/**
 * Its own handler of tickets on bare Express, without Nest around it. It does not wait for its cache, so
 * what it returns is written to Redis here.
 */
require('reflect-metadata');
const express = require('express');
const { ComponentService } = require('nest-wechat');
const { component, listen, store } = require('./common.js');

const service = new ComponentService({
  componentAppId: component.appid,
  componentSecret: 'secret',
  componentToken: component.token,
  componentEncodingAESKey: component.encodingAesKey,
});
const app = express();
app.disable('x-powered-by').disable('etag');
app.post('/*any', async (request, response) => {
  let ticket;
  try {
    ticket = await service.pushTicket(request);
  } catch {
    return response.status(401).end();
  }
  await store(ticket);
  response.send('success');
});
listen(app);
