/** The parts of the client that are not needed to read and answer messages, each a file of its own. */
export const OUTSIDE = () => import('./Outside.svelte');
export const CODE = () => import('./welcome/CodeCeremony.svelte');
export const AFTER_JOINING = () => import('./welcome/ProtectionsCeremony.svelte');
export const ADD = () => import('./chats/AddPerson.svelte');
export const INVITE = () => import('./chats/InviteScreen.svelte');
export const NEW_GROUP = () => import('./groups/NewGroup.svelte');
export const GROUP = () => import('./groups/GroupScreen.svelte');
export const GROUP_LINK = () => import('./groups/LinkScreen.svelte');
export const INVITATION = () => import('./groups/InvitationScreen.svelte');
export const MEMBER = () => import('./groups/MemberSheet.svelte');
export const REQUESTS = () => import('./requests/RequestsScreen.svelte');
export const REQUEST = () => import('./requests/RequestScreen.svelte');
export const REPORT = () => import('./report/ReportSheet.svelte');
export const SETTINGS = () => import('./settings/SettingsScreen.svelte');
export const SETTING = () => import('./settings/SettingScreen.svelte');
export const TERMS = () => import('./settings/TermsScreen.svelte');
export const HELP = () => import('./settings/HelpScreen.svelte');
