import { accountTicket } from './account-ticket.ts';

/** For signing cards and coupons (卡券). */
export const wxCardTicket = accountTicket('wx_card_ticket', 'wx_card');
