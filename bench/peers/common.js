'use strict';

/** What every peer is given, and the one write that each of them makes before it says `success`. */
const { Redis } = require('ioredis');

const { PORT, REDIS_URL, TICKET_KEY, APPID, TOKEN, ENCODING_AES_KEY } = process.env;
const redis = new Redis(REDIS_URL);

exports.component = { appid: APPID, token: TOKEN, encodingAesKey: ENCODING_AES_KEY };

/** Resolves when Redis has acknowledged. */
exports.store = (ticket) => redis.set(TICKET_KEY, ticket);

exports.listen = (app) => app.listen(Number(PORT), '127.0.0.1');
