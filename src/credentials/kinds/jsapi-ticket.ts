import { accountTicket } from './account-ticket.ts';

/** For signing the pages of WeChat's JS-SDK. */
export const jsapiTicket = accountTicket('jsapi_ticket', 'jsapi');
