/**
 * Sends a token to the server, which responds with a cookie for it. The page does not store it.
 */
import { h, useEffect, useRef, useState } from "../../vendor/preact.js";
import { ApiError, request, signedOut } from "../api.js";
import { place, readStatus, replace, to, useRowsShown } from "../page.js";
import { useTitle } from "../ui.js";

export function Page() {
  useTitle("Sign in");
  useRowsShown();
  const [refusal, setRefusal] = useState("");
  const [busy, setBusy] = useState(false);
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => field.current?.focus(), []);
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const token = field.current?.value.trim() ?? "";
    if (!token || busy) return;
    setBusy(true);
    try {
      await request("POST", "api/session", { token });
      if (field.current) field.current.value = "";
      signedOut.value = false;
      readStatus();
      // The page that required the sign-in is shown again, or the first one.
      if (place.value.page === "sign-in") replace(to([]));
    } catch (error) {
      setRefusal(
        error instanceof ApiError && error.status === 401
          ? "this token is not one of the server's"
          : error instanceof Error
            ? error.message
            : String(error),
      );
      field.current?.select();
    } finally {
      setBusy(false);
    }
  };
  return h(
    "section",
    { class: "sign-in" },
    h("h1", null, "Sign in"),
    h(
      "form",
      { onSubmit: submit },
      // Password managers need a user name for a password.
      h("input", {
        type: "text",
        name: "username",
        autocomplete: "username",
        value: "spanscope",
        readOnly: true,
        hidden: true,
      }),
      h("label", { for: "token" }, "Token"),
      h("input", {
        id: "token",
        ref: field,
        type: "password",
        autocomplete: "current-password",
        spellcheck: false,
        "aria-describedby": "token-note",
        "aria-invalid": refusal ? "true" : undefined,
      }),
      h("button", { type: "submit", disabled: busy }, "Sign in"),
      refusal ? h("p", { class: "error-text", role: "alert" }, refusal) : null,
      h(
        "p",
        { id: "token-note", class: "dim" },
        "A token from the file of ",
        h("code", null, "spanscope serve --tokens FILE"),
        ". This browser stays signed in for 12 hours.",
      ),
    ),
  );
}
