import type { AlertKind } from '../../config/formats.ts';
import { dingtalk } from './dingtalk.ts';
import { feishu } from './feishu.ts';
import { json } from './json.ts';
import type { AlertKindRule } from './kind.ts';
import { serverchan } from './serverchan.ts';
import { wecom } from './wecom.ts';

/** Whom alerts can be sent to. */
export const ALERT_RULES: Readonly<Record<AlertKind, AlertKindRule>> = {
  json,
  wecom,
  dingtalk,
  feishu,
  serverchan,
};
