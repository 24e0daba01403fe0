import { KeeperError } from '../../src/lib/errors.ts';
import { gather, type PushFields } from '../../src/wechat/push/push-fields.ts';
import { readXml } from '../../src/wechat/push/push-xml.ts';

/** The fields of a document that must be XML, such as a reply. @throws KeeperError `malformed_push` */
export function parsePushXml(xml: string): PushFields {
  const document = readXml(xml);
  if (document === undefined) throw new KeeperError('malformed_push', 'no XML');
  return gather(document.entries);
}
