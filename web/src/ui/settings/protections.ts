import type { Me, Protection } from '../../engine/contract';
import { t } from '../../i18n';
import { month } from '../time';

/** "What is on because you're 13 to 15"; one neutral title where the age is not known or no reason. */
export function protectionsTitle(band: Me['band']): string {
  switch (band) {
    case '13-15':
      return t('protections.because', { band: t('band.13') });
    case '16-17':
      return t('protections.because', { band: t('band.16') });
    case '18+':
    case 'unknown':
      return t('protections.on');
  }
}

export const ends = (protection: Protection): string =>
  protection.until_ms === null ? t('protections.no_end') : month(protection.until_ms);

export const whoChanges = (protection: Protection): string =>
  protection.changeable ? t('protections.you') : t('protections.nobody');
