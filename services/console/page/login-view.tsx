/** Signing in with a token; it is sent once and then lives in a cookie no script can read. */
import { useState } from 'preact/hooks';
import { ApiError, postJson } from './api-client.ts';

export function LoginView({ onSignedIn }: { onSignedIn: () => void }) {
  const [token, setToken] = useState('');
  const [message, setMessage] = useState('');
  const [busy, setBusy] = useState(false);

  const signIn = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    setMessage('');
    try {
      await postJson('/session', { token });
      onSignedIn();
    } catch (error) {
      setMessage(error instanceof ApiError ? error.message : String(error));
      setBusy(false);
    }
  };

  return (
    <main class="login">
      <form onSubmit={(event) => void signIn(event)}>
        <h1>Leakline</h1>
        <label for="token">Token</label>
        <input
          id="token"
          name="token"
          type="password"
          autocomplete="current-password"
          required
          autofocus
          value={token}
          onInput={(event) => setToken(event.currentTarget.value)}
        />
        {message !== '' && (
          <p class="form-error" role="alert">
            {message}
          </p>
        )}
        <button type="submit" class="primary" disabled={busy}>
          Sign in
        </button>
        <p class="muted small">
          A reader token shows the fleet, an operator token may also act on incidents. They stand in the configuration under{' '}
          <code>auth</code>.
        </p>
      </form>
    </main>
  );
}
