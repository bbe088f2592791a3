//! Mail about requests: by whatever speaks SMTP.

use std::{sync::Arc, time::Duration};

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};
use onefold_model::{WorkspaceId, clock::DAY_MS};

use super::{ANSWER_DAYS, CONFIRM_DAYS, Case, Kind, token::What, words::Words};
use crate::{ApiError, App};

/// A mail server may take so long.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How mail is sent: values.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// `smtp://host:25`, `smtps://user:password@host:465`, `smtp://user:password@host:587?tls=required`.
    pub url: String,
    /// Whom it is from: `Privacy <privacy@example.com>`.
    pub from: Mailbox,
    /// Where links lead: `https://cdp.example.com`.
    pub public_url: String,
}

impl MailSettings {
    /// Reads what is written in the settings.
    pub fn read(url: &str, from: &str, public_url: &str) -> Result<MailSettings, String> {
        let from = from.parse().map_err(|error| format!("[mail] from is no address: {error}"))?;
        AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|error| format!("[mail] url is no URL of SMTP: {error}"))?;
        if public_url.is_empty() {
            return Err("[server] public_url must say where the links in mails lead".to_owned());
        }
        Ok(MailSettings { url: url.to_owned(), from, public_url: public_url.trim_end_matches('/').to_owned() })
    }

    async fn send(&self, to: &str, subject: &str, text: String) -> Result<(), String> {
        // What goes wrong is said without the address: it may stand in a log for longer than the person here.
        let to: Mailbox = to.parse().map_err(|_| "the address is none that takes mail".to_owned())?;
        let message =
            Message::builder().from(self.from.clone()).to(to).subject(subject).header(ContentType::TEXT_PLAIN);
        let message = message.body(text).map_err(|error| error.to_string())?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(&self.url).map_err(|error| error.to_string())?;
        let sent = transport.timeout(Some(TIMEOUT)).build().send(message).await;
        sent.map(drop).map_err(|error| match error.status() {
            Some(code) => format!("the mail server answered {code}"),
            None => "the mail server could not be reached, or did not answer".to_owned(),
        })
    }
}

impl App {
    fn mail(&self) -> Result<&MailSettings, ApiError> {
        self.settings.mail.as_ref().ok_or_else(|| {
            ApiError::bad_request("no_mail", "no mail can be sent", "set [mail] in the settings; see docs/privacy.md")
        })
    }

    /// Asks the person whether it was them.
    pub(super) async fn ask_by_mail(self: &Arc<Self>, workspace: WorkspaceId, case: &Case) -> Result<(), ApiError> {
        let (mail, words) = (self.mail()?.clone(), Words::of(case.language.as_deref().unwrap_or("en")));
        let Some(address) = case.address() else { return Ok(()) };
        let until = self.clock.now().plus(CONFIRM_DAYS * DAY_MS);
        let path = self.request_path(workspace, &case.id, What::Confirm, until).await?;
        let link = format!("{}{path}?lang={}", mail.public_url, words.code);
        let text = format!(
            "{}\n\n  {}\n\n{}\n\n  {link}\n\n{}\n",
            words.ask,
            words.kind(case.kind),
            words.ask_link,
            words.ask_not_you
        );
        mail.send(&address, words.ask_subject, text).await.map_err(|error| {
            let cause = format!(
                "the request is entered, and the mail that asks whether they sent it could not be sent: {error}"
            );
            ApiError::unavailable(cause).with_cure("look at [mail] in the settings; or verify the request by hand")
        })
    }

    /// Tells the person what came of it. That it could not be sent changes nothing of that.
    pub(super) async fn answer_by_mail(self: &Arc<Self>, _workspace: WorkspaceId, case: &Case, address: &str) {
        let Ok(mail) = self.mail() else { return };
        let words = Words::of(case.language.as_deref().unwrap_or("en"));
        let path = case.result.as_ref().and_then(|result| result["answer"].as_str());
        let text = match (case.kind, path) {
            (Kind::Access | Kind::Portability, Some(path)) => {
                let link = format!("{}{path}?lang={}", mail.public_url, words.code);
                format!("{}\n\n  {link}\n\n{} {ANSWER_DAYS}.\n", words.answer, words.answer_days)
            }
            (Kind::Access | Kind::Portability, None) => format!("{}\n", words.nothing_held),
            _ => format!("{}\n\n  {}\n", words.done, words.kind(case.kind)),
        };
        if let Err(error) = mail.send(address, words.answer_subject, text).await {
            tracing::warn!(request = case.id, error, "the person could not be told what came of a request");
        }
    }
}
