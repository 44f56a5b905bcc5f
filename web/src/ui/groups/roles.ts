/** What roles are called, and what one may do to another. The server decides; this only hides what it would refuse. */
import type { GroupRole } from '../../engine/contract';
import type { Key } from '../../i18n';

export const ROLES: Record<GroupRole, Key> = { member: 'role.member', admin: 'role.admin', owner: 'role.owner' };

/** Who may remove, ban or change the role of whom. */
export const mayManage = (mine: GroupRole, theirs: GroupRole): boolean =>
  mine === 'owner' ? theirs !== 'owner' : mine === 'admin' && theirs === 'member';
