/** Whether the time of a disappearing message, or of a change, is over. */
import type { MessageRecord } from './records';

export const isOver = (row: Pick<MessageRecord, 'expiresMs'>, now: number): boolean => row.expiresMs !== undefined && row.expiresMs <= now;
