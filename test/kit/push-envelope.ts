import { createCipheriv } from 'node:crypto';
import { sign } from '../../src/wechat/push/envelope.ts';
import { COMPONENT } from './platform.ts';

/** What can be wrong inside an envelope whose signature is right. */
export interface EnvelopeOptions {
  appid?: string;
  key?: string;
  token?: string;
  /** Unix seconds. */
  timestamp?: number | string;
  nonce?: string;
  /** The length field, when it lies. */
  declaredLength?: number;
  /** All padding bytes, when they lie. */
  padding?: (pad: Buffer) => Buffer;
  /** Bytes appended to the plaintext before encryption. */
  random?: string;
}

/**
 * Encrypts by hand, without the library under test, so that every byte can be made wrong.
 * AES-256-CBC, IV = first half of the key, PKCS#7 to 32 bytes: 加密解密技术方案.
 */
export function encryptByHand(message: string | Buffer, options: EnvelopeOptions = {}): string {
  const key = Buffer.from(`${options.key ?? COMPONENT.encodingAesKey}=`, 'base64');
  const body = Buffer.from(message);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(options.declaredLength ?? body.length);
  const plain = Buffer.concat([
    Buffer.from(options.random ?? '0123456789abcdef'),
    length,
    body,
    Buffer.from(options.appid ?? COMPONENT.appid),
  ]);
  const count = 32 - (plain.length % 32);
  const pad = Buffer.alloc(count, count);
  const cipher = createCipheriv('aes-256-cbc', key, key.subarray(0, 16)).setAutoPadding(false);
  const padded = Buffer.concat([plain, options.padding?.(pad) ?? pad]);
  return Buffer.concat([cipher.update(padded), cipher.final()]).toString('base64');
}

export interface EncryptedPush {
  query: Record<string, string>;
  body: string;
  encrypt: string;
}

/** A push as WeChat sends it, or as somebody pretends. */
export function encryptPush(
  message: string | Buffer,
  options: EnvelopeOptions = {},
): EncryptedPush {
  return wrapPush(encryptByHand(message, options), options);
}

export function wrapPush(encrypt: string, options: EnvelopeOptions = {}): EncryptedPush {
  const token = options.token ?? COMPONENT.token;
  const timestamp = String(options.timestamp ?? 1_763_683_200);
  const nonce = options.nonce ?? '1590219412';
  return {
    encrypt,
    query: {
      signature: sign(token, timestamp, nonce, ''),
      timestamp,
      nonce,
      encrypt_type: 'aes',
      msg_signature: sign(token, timestamp, nonce, encrypt),
    },
    body: outerXml(encrypt),
  };
}

export function outerXml(encrypt: string, appid = COMPONENT.appid): string {
  return `<xml><AppId><![CDATA[${appid}]]></AppId><Encrypt><![CDATA[${encrypt}]]></Encrypt></xml>`;
}

export function ticketXml(fields: {
  ticket?: string;
  createTime: number | string;
  appid?: string;
  infoType?: string;
}): string {
  return (
    `<xml><AppId><![CDATA[${fields.appid ?? COMPONENT.appid}]]></AppId>` +
    `<CreateTime>${fields.createTime}</CreateTime>` +
    `<InfoType><![CDATA[${fields.infoType ?? 'component_verify_ticket'}]]></InfoType>` +
    `<ComponentVerifyTicket><![CDATA[${fields.ticket ?? 'ticket@@@hostile'}]]></ComponentVerifyTicket></xml>`
  );
}
