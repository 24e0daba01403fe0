import * as z from 'zod';
import { appidField, codeExpiry, codeField, takeCode } from './authorized.ts';
import { textOf } from '../../wechat/push/push-fields.ts';
import { eventEntry } from './event-entry.ts';
import type { PushHandler } from './handler.ts';
import { freshTimeOf } from './push-time.ts';
import { eventIdentities, readFields, storeEvent } from './store-event.ts';

/**
 * What WeChat tells a platform about registrations, certifications and filings. Other services act on
 * it; here it is stored for them, and a notice that does not have its documented shape is pointed out,
 * never dropped.
 * Source: developers.weixin.qq.com, Register_Mini_Programs, beta_Mini_Programs and weapp-wxverify; the
 * filing notices are known from SDKs only.
 */

const text = z.string();
const number = z.string().regex(/^-?\d{1,15}$/);
const company = z.object({ name: text, code: text, code_type: text });
const person = z.object({ wxuser: text, idname: text });

/** By InfoType: the fields that make use of the notice. Values are texts, as XML has them. */
const NOTICES = {
  notify_third_fasteregister: z.object({
    appid: text,
    status: number,
    msg: text.optional(),
    auth_code: text.optional(),
    info: company.or(person),
  }),
  notify_third_fastregisterbetaapp: z.object({
    appid: text,
    status: number,
    info: z.object({ unique_id: text, name: text }),
  }),
  notify_third_fastverifybetaapp: z.object({ appid: text, status: number, info: company }),
  notify_3rd_wxa_auth: z.object({
    appid: text,
    taskid: text,
    task_status: number,
    apply_status: number.optional(),
  }),
  notify_3rd_wxa_wxverify: z.object({ appid: text, expired: number, message: text }),
  notify_icpfiling_verify_result: z.object({ task_id: text, verify_appid: text, result: number }),
  notify_apply_icpfiling_result: z.object({ authorizer_appid: text, beian_status: number }),
  notify_3rd_wxa_auth_and_icp: z.object({ procedure_id: text, procedure_status: number }),
  order_path_apply_result_notify: z.object({ list: z.unknown() }),
  order_path_audit_result_notify: z.object({ list: z.unknown() }),
  wxa_nickname_audit: z.object({ ret: number, nickname: text }),
} as const;

/** The merchant of a new mini-program has authorized the platform by registering through it. */
const registered = z.object({
  appid: appidField.optional().catch(undefined),
  auth_code: codeField,
});

type NoticeType = keyof typeof NOTICES;

export const notices: readonly PushHandler[] = Object.keys(NOTICES).map((infoType) =>
  handlerFor(infoType as NoticeType),
);

function handlerFor(infoType: NoticeType): PushHandler {
  return {
    infoType,
    async handle(push, context) {
      const time = freshTimeOf(push, context);
      readFields<unknown>(push, context, NOTICES[infoType]);
      const succeeded = textOf(push.fields, 'status')?.trim() === '0';
      const registration = infoType === 'notify_third_fasteregister' && succeeded;
      const granted = registration ? registered.safeParse(push.fields).data : undefined;
      if (granted !== undefined) {
        const expiresAt = codeExpiry(undefined, time.at);
        const { appid: authorizer, auth_code: code } = granted;
        return takeCode(push, context, time, { authorizer, code, expiresAt });
      }
      return storeEvent(push, context, eventIdentities(push, time), eventEntry(push));
    },
  };
}
