//! The order of attempts, as tables of what the server says.

use super::*;

const ALL: [&str; 3] = ["publickey", "keyboard-interactive", "password"];

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

fn means() -> Means {
    Means { methods: AuthMethod::DEFAULT_ORDER.to_vec(), password: false, person: true, prompts: 3 }
}

fn order(means: Means, offered: &[&str], keys: usize) -> Order {
    let mut order = Order::new(means, names(offered));
    if order.next() == Step::FindKeys {
        order.keys_found(keys);
    }
    order
}

/// Refuses everything without partial success and lists what was tried.
fn all_refused(mut order: Order, offered: &[&str], keyboard_asks: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    loop {
        let step = order.next();
        if step == Step::GiveUp {
            return steps;
        }
        steps.push(step);
        assert!(steps.len() < 100, "it never ends: {steps:?}");
        if step == Step::Keyboard && keyboard_asks {
            order.keyboard_asked();
        }
        order.refused(step, names(offered), false);
    }
}

#[test]
fn keys_come_first_then_questions_then_passwords() {
    let steps = all_refused(order(means(), &ALL, 2), &ALL, true);
    let person = Step::Password(PasswordFrom::Person);
    assert_eq!(
        steps,
        [Step::Key(0), Step::Key(1), Step::Keyboard, Step::Keyboard, Step::Keyboard, person, person, person]
    );
}

#[test]
fn only_what_the_server_offers_is_tried() {
    assert_eq!(all_refused(order(means(), &["publickey"], 1), &["publickey"], true), [Step::Key(0)]);
    assert_eq!(all_refused(order(means(), &["hostbased"], 1), &["hostbased"], true), []);
    assert_eq!(all_refused(order(means(), &[], 1), &[], true), []);
}

#[test]
fn only_what_the_caller_allows_is_tried_and_in_that_order() {
    let means = Means { methods: vec![AuthMethod::Password, AuthMethod::PublicKey], prompts: 1, ..means() };
    let mut order = Order::new(means, names(&ALL));
    assert_eq!(order.next(), Step::Password(PasswordFrom::Person));
    order.refused(order.next(), names(&ALL), false);
    assert_eq!(order.next(), Step::FindKeys);
    order.keys_found(1);
    assert_eq!(order.next(), Step::Key(0));
    order.refused(order.next(), names(&ALL), false);
    assert_eq!(order.next(), Step::GiveUp);
}

#[test]
fn keys_are_not_looked_for_where_they_are_no_use() {
    let order = Order::new(means(), names(&["password"]));
    assert_eq!(order.next(), Step::Password(PasswordFrom::Person));
}

#[test]
fn without_a_person_nothing_that_needs_one_is_tried() {
    let means = Means { person: false, ..means() };
    assert_eq!(all_refused(order(means, &ALL, 1), &ALL, true), [Step::Key(0)]);
}

#[test]
fn questions_end_when_the_server_refuses_without_asking() {
    let steps = all_refused(order(means(), &ALL, 0), &ALL, false);
    assert_eq!(steps.iter().filter(|step| **step == Step::Keyboard).count(), 1);
}

#[test]
fn a_given_password_refused_by_questions_is_never_sent_again() {
    let means = Means { password: true, person: false, ..means() };
    let mut order = order(means, &ALL, 0);
    assert_eq!(order.next(), Step::Keyboard);
    order.keyboard_asked();
    assert!(order.take_password_for_keyboard());
    assert!(!order.take_password_for_keyboard(), "once in an attempt, however often the server asks");
    order.refused(Step::Keyboard, names(&ALL), false);
    assert!(!order.take_password_for_keyboard());
    assert_eq!(order.next(), Step::GiveUp);
}

#[test]
fn a_given_password_not_fit_for_the_questions_goes_to_the_password_method() {
    let means = Means { password: true, person: false, ..means() };
    let mut order = order(means, &ALL, 0);
    assert_eq!(order.next(), Step::Keyboard);
    order.keyboard_asked();
    order.unusable(Step::Keyboard);
    assert_eq!(order.next(), Step::Password(PasswordFrom::Given));
    order.refused(order.next(), names(&ALL), false);
    assert_eq!(order.next(), Step::GiveUp);
}

#[test]
fn a_given_password_refused_by_the_password_method_does_not_answer_questions() {
    let means = Means {
        methods: vec![AuthMethod::Password, AuthMethod::KeyboardInteractive],
        password: true,
        ..means()
    };
    let mut order = Order::new(means, names(&ALL));
    assert_eq!(order.next(), Step::Password(PasswordFrom::Given));
    order.refused(order.next(), names(&ALL), false);
    assert!(!order.take_password_for_keyboard());
    assert_eq!(order.next(), Step::Password(PasswordFrom::Person));
}

#[test]
fn a_given_password_that_was_right_may_serve_the_other_method_too() {
    let means = Means { password: true, person: false, ..means() };
    let mut order = order(means, &["keyboard-interactive"], 0);
    order.keyboard_asked();
    assert!(order.take_password_for_keyboard());
    order.refused(Step::Keyboard, names(&["password"]), true);
    assert_eq!(order.next(), Step::Password(PasswordFrom::Given));
    order.refused(order.next(), names(&["password"]), true);
    assert_eq!(order.next(), Step::GiveUp, "but not the same method twice");
}

#[test]
fn after_partial_success_the_new_list_counts() {
    let mut order = order(means(), &["publickey"], 2);
    order.refused(Step::Key(0), names(&["publickey"]), false);
    assert_eq!(order.next(), Step::Key(1));
    order.refused(Step::Key(1), names(&["keyboard-interactive"]), true);
    assert_eq!(order.next(), Step::Keyboard);
    assert_eq!(order.offered(), ["keyboard-interactive"]);
}

#[test]
fn after_partial_success_refused_keys_are_offered_again_but_not_the_accepted_one() {
    let mut order = order(means(), &["publickey"], 3);
    order.refused(Step::Key(0), names(&["publickey"]), false);
    order.refused(Step::Key(1), names(&["publickey"]), true);
    assert_eq!(order.next(), Step::Key(0));
    order.refused(Step::Key(0), names(&["publickey"]), false);
    assert_eq!(order.next(), Step::Key(2));
}

#[test]
fn after_partial_success_a_persons_failures_stay_counted() {
    let means = Means { methods: vec![AuthMethod::Password, AuthMethod::PublicKey], ..means() };
    let mut order = order(means, &["password", "publickey"], 1);
    order.keys_found(1);
    for _ in 0..2 {
        order.refused(Step::Password(PasswordFrom::Person), names(&["password", "publickey"]), false);
    }
    order.refused(Step::Key(0), names(&["password"]), true);
    assert_eq!(order.next(), Step::Password(PasswordFrom::Person));
    order.refused(order.next(), names(&["password"]), false);
    assert_eq!(order.next(), Step::GiveUp);
}

#[test]
fn endless_partial_success_ends() {
    let mut order = order(Means { prompts: 1000, ..means() }, &["keyboard-interactive"], 0);
    let mut rounds = 0;
    while order.next() != Step::GiveUp {
        order.keyboard_asked();
        order.refused(order.next(), names(&["keyboard-interactive"]), true);
        rounds += 1;
        assert!(rounds < 100);
    }
    assert_eq!(rounds, MAX_PARTIAL + 1);
}

#[test]
fn a_key_that_cannot_sign_is_passed_over_for_good() {
    let mut order = order(means(), &["publickey"], 2);
    order.unusable(Step::Key(0));
    assert_eq!(order.next(), Step::Key(1));
    order.refused(Step::Key(1), names(&["publickey"]), true);
    assert_eq!(order.next(), Step::GiveUp);
}
