/** What people may do with an incident. Every action is confirmed in a dialog, also when a link from a message asked for it. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ApiIncident } from '../api-schema.ts';
import { announceChange, ApiError, postJson } from './api-client.ts';
import { DAY, HOUR } from './format.ts';

export type ActionName = 'acknowledge' | 'unacknowledge' | 'silence' | 'dismiss';

interface ActionWords {
  readonly button: string;
  readonly title: string;
  readonly effect: string;
}

const WORDS: Record<ActionName, ActionWords> = {
  acknowledge: {
    button: 'Acknowledge',
    title: 'Acknowledge this incident?',
    effect: 'The others see that you are on it. Updates go on in the same thread.',
  },
  unacknowledge: { button: 'Give back', title: 'Give this incident back?', effect: 'It is open again and waits for somebody.' },
  silence: { button: 'Silence', title: 'Silence this incident?', effect: 'No message about it until then. It goes on being watched.' },
  dismiss: {
    button: 'Not a leak',
    title: 'Is this no leak?',
    effect: 'It is closed and remembered: the same shape on this service does not page again.',
  },
};

const ALLOWED: Record<ApiIncident['state'], readonly ActionName[]> = {
  open: ['acknowledge', 'silence', 'dismiss'],
  acknowledged: ['unacknowledge', 'silence', 'dismiss'],
  silenced: ['acknowledge', 'silence', 'dismiss'],
  resolved: ['dismiss'],
  dismissed: [],
};

export const isActionName = (text: string | null): text is ActionName => text !== null && Object.hasOwn(WORDS, text);

const SILENCES = [
  ['1 hour', HOUR],
  ['8 hours', 8 * HOUR],
  ['1 day', DAY],
  ['1 week', 7 * DAY],
  ['30 days', 30 * DAY],
] as const;

interface DialogProps {
  readonly action: ActionName;
  readonly incident: ApiIncident;
  readonly now: number;
  readonly close: () => void;
  readonly done: () => void;
}

function ActionDialog({ action, incident, now, close, done }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [note, setNote] = useState('');
  const [silenceMs, setSilence] = useState<number>(8 * HOUR);
  const [failure, setFailure] = useState('');
  const [busy, setBusy] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);

  const send = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    setFailure('');
    try {
      const body = action === 'silence' ? { action, note, until: now + silenceMs } : { action, note };
      await postJson(`/incidents/${encodeURIComponent(incident.id)}/actions`, body);
      done();
    } catch (error) {
      setFailure(error instanceof ApiError ? error.message : String(error));
      setBusy(false);
    }
  };

  return (
    <dialog ref={dialog} onClose={close} aria-labelledby="action-title">
      <form onSubmit={(event) => void send(event)}>
        <h2 id="action-title">{WORDS[action].title}</h2>
        <p>
          <b>{incident.service}</b>
          {incident.environment === '' ? '' : ` in ${incident.environment}`}: {incident.judgement.explanation}
        </p>
        <p class="muted">{WORDS[action].effect}</p>
        {action === 'silence' && (
          <label>
            For
            <select value={silenceMs} onChange={(event) => setSilence(Number(event.currentTarget.value))}>
              {SILENCES.map(([word, length]) => (
                <option key={word} value={length}>
                  {word}
                </option>
              ))}
            </select>
          </label>
        )}
        <label>
          Note for the others
          <input type="text" maxLength={500} value={note} onInput={(event) => setNote(event.currentTarget.value)} placeholder="optional" />
        </label>
        {failure !== '' && (
          <p class="form-error" role="alert">
            {failure}
          </p>
        )}
        <div class="dialog-end">
          <button type="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={busy}>
            {WORDS[action].button}
          </button>
        </div>
      </form>
    </dialog>
  );
}

interface ActionsProps {
  readonly incident: ApiIncident;
  readonly now: number;
  readonly canAct: boolean;
  /** Asked for by the address; opens the dialog once. */
  readonly asked?: ActionName | null;
}

export function IncidentActions({ incident, now, canAct, asked = null }: ActionsProps) {
  const allowed = ALLOWED[incident.state];
  const [open, setOpen] = useState<ActionName | null>(asked !== null && canAct && allowed.includes(asked) ? asked : null);
  if (!canAct) return <p class="muted small">Acting on incidents needs an operator token.</p>;
  if (allowed.length === 0) return null;
  return (
    <div class="actions">
      {allowed.map((action) => (
        <button key={action} type="button" class={action === 'acknowledge' ? 'primary' : ''} onClick={() => setOpen(action)}>
          {WORDS[action].button}
        </button>
      ))}
      {open !== null && (
        <ActionDialog
          key={open}
          action={open}
          incident={incident}
          now={now}
          close={() => setOpen(null)}
          done={() => {
            setOpen(null);
            announceChange();
          }}
        />
      )}
    </div>
  );
}
