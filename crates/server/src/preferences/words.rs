//! What the page says, in five languages.

use axum::http::{HeaderMap, header};
use onefold_model::consent::Basis;

/// The words of a language.
pub struct Words {
    /// Its code.
    pub code: &'static str,
    /// What it calls itself.
    pub name: &'static str,
    pub title: &'static str,
    pub intro: &'static str,
    pub choices: &'static str,
    pub save: &'static str,
    pub saved: &'static str,
    pub refuse_all: &'static str,
    pub nothing_to_choose: &'static str,
    pub by_any_channel: &'static str,
    pub you_may_object: &'static str,
    pub needed: &'static str,
    pub held: &'static str,
    pub source: &'static str,
    pub values: &'static str,
    pub given_to: &'static str,
    pub notice: &'static str,
    pub unsubscribe: &'static str,
    pub unsubscribe_from: &'static str,
    pub everything: &'static str,
    pub confirm: &'static str,
    pub unsubscribed: &'static str,
    pub all_choices: &'static str,
    pub gone_title: &'static str,
    pub gone: &'static str,
    pub language: &'static str,
    /// Legal grounds: contract, law, vital interests, public task, legitimate interest.
    grounds: [&'static str; 5],
    /// E-mail, text message, push, post, telephone.
    channels: [&'static str; 5],
}

impl Words {
    /// The name of a legal ground that asks nobody.
    pub fn ground(&self, basis: Basis) -> &'static str {
        match basis {
            Basis::Consent => "",
            Basis::Contract => self.grounds[0],
            Basis::LegalObligation => self.grounds[1],
            Basis::VitalInterests => self.grounds[2],
            Basis::PublicTask => self.grounds[3],
            Basis::LegitimateInterest => self.grounds[4],
        }
    }

    /// The name of a channel; one that we do not know has its own.
    pub fn channel<'a>(&self, channel: &'a str) -> &'a str
    where
        'static: 'a,
    {
        let known = ["email", "sms", "push", "post", "phone"].iter().position(|known| *known == channel);
        known.map_or(channel, |place| self.channels[place])
    }

    /// Those of a language, English where we do not speak it.
    pub fn of(code: &str) -> &'static Words {
        LANGUAGES.iter().find(|words| words.code.eq_ignore_ascii_case(code)).unwrap_or(&LANGUAGES[0])
    }

    /// Those that a browser would rather have (RFC 9110, 12.5.4).
    pub fn accepted(headers: &HeaderMap) -> &'static Words {
        let accepts = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut asked: Vec<(u32, &str)> = vec![];
        for range in accepts.split(',') {
            let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
            let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok()).unwrap_or(0.0);
            let code = tag.trim().split('-').next().unwrap_or_default();
            asked.push(((weight.clamp(0.0, 1.0) * 1000.0) as u32, code));
        }
        asked.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        let speaks = |code: &str| LANGUAGES.iter().find(|words| words.code.eq_ignore_ascii_case(code));
        asked.iter().filter(|(weight, _)| *weight > 0).find_map(|(_, code)| speaks(code)).unwrap_or(&LANGUAGES[0])
    }
}

/// All of them, English first.
pub static LANGUAGES: [Words; 5] = [
    Words {
        code: "en",
        name: "English",
        title: "Your preferences",
        intro: "Choose what your data may be used for. Changes count at once.",
        choices: "Your choices",
        save: "Save choices",
        saved: "Your choices are saved.",
        refuse_all: "Refuse everything",
        nothing_to_choose: "There is nothing to choose at the moment.",
        by_any_channel: "Yes, I agree",
        you_may_object: "This rests on a legitimate interest. Take the tick away to object.",
        needed: "Uses that do not ask for your consent",
        held: "What is held about you",
        source: "From",
        values: "Kinds of data",
        given_to: "Passed on for",
        notice: "Notice",
        unsubscribe: "Unsubscribe",
        unsubscribe_from: "Do you want to unsubscribe from this?",
        everything: "everything",
        confirm: "Unsubscribe",
        unsubscribed: "You are unsubscribed.",
        all_choices: "All choices",
        gone_title: "This link is not valid",
        gone: "It has expired, or your data are no longer held. Ask for a new link.",
        language: "Language",
        grounds: [
            "needed for a contract with you",
            "demanded by law",
            "vital interests",
            "task in the public interest",
            "legitimate interest",
        ],
        channels: ["by e-mail", "by text message", "by push message", "by post", "by telephone"],
    },
    Words {
        code: "de",
        name: "Deutsch",
        title: "Ihre Einstellungen",
        intro: "Wählen Sie, wofür Ihre Daten verwendet werden dürfen. Änderungen gelten sofort.",
        choices: "Ihre Auswahl",
        save: "Auswahl speichern",
        saved: "Ihre Auswahl ist gespeichert.",
        refuse_all: "Alles ablehnen",
        nothing_to_choose: "Zurzeit gibt es nichts zu wählen.",
        by_any_channel: "Ja, ich stimme zu",
        you_may_object: "Das beruht auf einem berechtigten Interesse. Entfernen Sie das Häkchen, um zu widersprechen.",
        needed: "Verwendungen, für die keine Einwilligung nötig ist",
        held: "Was über Sie gespeichert ist",
        source: "Von",
        values: "Arten von Daten",
        given_to: "Weitergegeben für",
        notice: "Hinweis",
        unsubscribe: "Abmelden",
        unsubscribe_from: "Möchten Sie sich hiervon abmelden?",
        everything: "alles",
        confirm: "Abmelden",
        unsubscribed: "Sie sind abgemeldet.",
        all_choices: "Alle Einstellungen",
        gone_title: "Dieser Link ist ungültig",
        gone: "Er ist abgelaufen, oder Ihre Daten sind nicht mehr gespeichert. Bitten Sie um einen neuen Link.",
        language: "Sprache",
        grounds: [
            "für einen Vertrag mit Ihnen nötig",
            "gesetzlich vorgeschrieben",
            "lebenswichtige Interessen",
            "Aufgabe im öffentlichen Interesse",
            "berechtigtes Interesse",
        ],
        channels: ["per E-Mail", "per SMS", "per Push-Nachricht", "per Post", "per Telefon"],
    },
    Words {
        code: "pl",
        name: "Polski",
        title: "Twoje preferencje",
        intro: "Wybierz, do czego można używać Twoich danych. Zmiany obowiązują od razu.",
        choices: "Twój wybór",
        save: "Zapisz wybór",
        saved: "Twój wybór został zapisany.",
        refuse_all: "Odmów wszystkiego",
        nothing_to_choose: "Obecnie nie ma nic do wyboru.",
        by_any_channel: "Tak, zgadzam się",
        you_may_object: "Podstawą jest prawnie uzasadniony interes. Odznacz, aby wyrazić sprzeciw.",
        needed: "Zastosowania, które nie wymagają zgody",
        held: "Co o Tobie przechowujemy",
        source: "Od",
        values: "Rodzaje danych",
        given_to: "Przekazywane w celu",
        notice: "Informacja",
        unsubscribe: "Rezygnacja",
        unsubscribe_from: "Czy chcesz z tego zrezygnować?",
        everything: "wszystko",
        confirm: "Rezygnuję",
        unsubscribed: "Rezygnacja została przyjęta.",
        all_choices: "Wszystkie preferencje",
        gone_title: "Ten link jest nieważny",
        gone: "Wygasł albo Twoje dane nie są już przechowywane. Poproś o nowy link.",
        language: "Język",
        grounds: [
            "konieczne do umowy z Tobą",
            "wymagane przez prawo",
            "żywotne interesy",
            "zadanie w interesie publicznym",
            "prawnie uzasadniony interes",
        ],
        channels: ["e-mailem", "SMS-em", "powiadomieniem push", "pocztą", "telefonicznie"],
    },
    Words {
        code: "fr",
        name: "Français",
        title: "Vos préférences",
        intro: "Choisissez à quoi vos données peuvent servir. Les changements sont immédiats.",
        choices: "Vos choix",
        save: "Enregistrer les choix",
        saved: "Vos choix sont enregistrés.",
        refuse_all: "Tout refuser",
        nothing_to_choose: "Il n’y a rien à choisir pour le moment.",
        by_any_channel: "Oui, j’accepte",
        you_may_object: "Cela repose sur un intérêt légitime. Décochez la case pour vous opposer.",
        needed: "Usages qui ne demandent pas votre consentement",
        held: "Ce qui est conservé sur vous",
        source: "De",
        values: "Types de données",
        given_to: "Transmis pour",
        notice: "Notice",
        unsubscribe: "Désabonnement",
        unsubscribe_from: "Voulez-vous vous désabonner de ceci ?",
        everything: "tout",
        confirm: "Me désabonner",
        unsubscribed: "Vous êtes désabonné.",
        all_choices: "Toutes les préférences",
        gone_title: "Ce lien n’est pas valide",
        gone: "Il a expiré, ou vos données ne sont plus conservées. Demandez un nouveau lien.",
        language: "Langue",
        grounds: [
            "nécessaire à un contrat avec vous",
            "exigé par la loi",
            "intérêts vitaux",
            "mission d’intérêt public",
            "intérêt légitime",
        ],
        channels: ["par e-mail", "par SMS", "par notification", "par courrier", "par téléphone"],
    },
    Words {
        code: "es",
        name: "Español",
        title: "Sus preferencias",
        intro: "Elija para qué se pueden usar sus datos. Los cambios valen de inmediato.",
        choices: "Sus opciones",
        save: "Guardar opciones",
        saved: "Sus opciones están guardadas.",
        refuse_all: "Rechazar todo",
        nothing_to_choose: "Por ahora no hay nada que elegir.",
        by_any_channel: "Sí, acepto",
        you_may_object: "Se basa en un interés legítimo. Quite la marca para oponerse.",
        needed: "Usos que no piden su consentimiento",
        held: "Qué se guarda sobre usted",
        source: "De",
        values: "Tipos de datos",
        given_to: "Transmitido para",
        notice: "Aviso",
        unsubscribe: "Darse de baja",
        unsubscribe_from: "¿Quiere darse de baja de esto?",
        everything: "todo",
        confirm: "Darme de baja",
        unsubscribed: "Se ha dado de baja.",
        all_choices: "Todas las preferencias",
        gone_title: "Este enlace no es válido",
        gone: "Ha caducado, o sus datos ya no se guardan. Pida un enlace nuevo.",
        language: "Idioma",
        grounds: [
            "necesario para un contrato con usted",
            "exigido por la ley",
            "intereses vitales",
            "tarea de interés público",
            "interés legítimo",
        ],
        channels: ["por correo electrónico", "por SMS", "por notificación", "por correo postal", "por teléfono"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_that_the_browser_would_rather_have() {
        let of = |accepts: &'static str| {
            let headers = [(header::ACCEPT_LANGUAGE, axum::http::HeaderValue::from_static(accepts))];
            Words::accepted(&headers.into_iter().collect()).code
        };
        assert_eq!(of("de-AT,de;q=0.9,en;q=0.8"), "de");
        assert_eq!(of("sv, fr;q=0.3, pl;q=0.7"), "pl");
        assert_eq!((of(""), of("sv"), of("es;q=0, *"), of("x;q=y")), ("en", "en", "en", "en"));
    }
}
